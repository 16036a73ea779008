#!/bin/sh
# Pull the images, or build them from the delivered code, on a base of this distribution's packages.
set -eu
[ ! -e /etc/stackserve/images-built ] || exit 0
here=$(dirname "$0")
app=/opt/stackserve/app
# shellcheck disable=SC1091 # on the server
. /etc/os-release
systemctl enable --quiet --now docker.service

if [ -n "${IMAGE_TAG:-}" ]; then
    # RabbitMQ's image is NAME-broker:TAG; a colon before the last slash begins a port.
    case ${IMAGE_TAG##*/} in
        *:*) broker="${IMAGE_TAG%:*}-broker:${IMAGE_TAG##*:}" ;;
        *) broker="$IMAGE_TAG-broker" ;;
    esac
    docker pull --quiet "$IMAGE_TAG"
    docker pull --quiet "$broker"
    docker tag "$IMAGE_TAG" stackserve
    docker tag "$broker" stackserve-broker
    touch /etc/stackserve/images-built.new
    exit 0
fi

work=$(mktemp -d /var/tmp/stackserve-images-XXXXXX)
trap 'rm -rf "$work"' EXIT

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "error: the images need Python 3.11 or newer, which this distribution does not have"
    exit 1
}
case $ID in
    ubuntu) mirror=http://archive.ubuntu.com/ubuntu sections="main universe" ;;
    *) mirror=http://deb.debian.org/debian sections="main" ;;
esac
[ -z "${APT_MIRROR:-}" ] || mirror=$APT_MIRROR
if ! docker image inspect stackserve-base > /dev/null 2>&1; then
    echo "making the base from $VERSION_CODENAME"
    mmdebstrap --quiet --variant=minbase --include=python3,ca-certificates "$VERSION_CODENAME" \
        "$work/base.tar" "deb $mirror $VERSION_CODENAME $sections"
    docker import "$work/base.tar" stackserve-base
    rm "$work/base.tar"
fi

install -d "$work/context/cloud-init/files/steps"
cp -r "$app/production_server" "$work/context/"
cp "$here/fetch_uv.py" "$here/uv.txt" "$work/context/cloud-init/files/"
cp "$here/warm.py" "$work/context/cloud-init/files/steps/"
set -- --quiet --file "$work/context/production_server/Dockerfile" --build-arg BASE=stackserve-base \
    --secret id=authorities,src=/etc/ssl/certs/ca-certificates.crt
if [ -n "${UV_DEFAULT_INDEX:-}" ]; then
    echo "$UV_DEFAULT_INDEX" > "$work/index"
    set -- "$@" --secret "id=index,src=$work/index"
fi
for name in http_proxy https_proxy no_proxy; do
    # Docker keeps these three out of the image.
    set -- "$@" --build-arg "$name"
done
[ -z "${OIDC:-}" ] || set -- "$@" --build-arg EXTRAS=oidc
export DOCKER_BUILDKIT=1
echo "building the image of the service"
docker build "$@" --tag stackserve "$work/context"
echo "building the image of RabbitMQ"
docker build "$@" --tag stackserve-broker --target broker "$work/context"
docker rmi --no-prune stackserve-base
docker builder prune --all --force > /dev/null
# contextualize.py puts it in place.
touch /etc/stackserve/images-built.new
