#!/bin/sh
# Install the locked Python packages, checking each hash. Nothing is built here.
# With OIDC=yes, those of a second lock too, also on a prepared image, which has the first ones only.
set -eu
here=$(dirname "$0")
# An update brings its own two.
code=${CODE:-/opt/stackserve/app/production_server}
venv=${VENV:-/opt/stackserve/venv}
uv=/opt/stackserve/bin/uv
there=$(cat "$venv/stackserve-lock" 2>/dev/null || true)
usual=$(sha256sum < "$code/requirements.txt")
stamp=$usual
[ "${OIDC:-}" != yes ] || stamp="$usual $(sha256sum < "$code/requirements.oidc.txt")"
[ "$there" != "$stamp" ] || exit 0

export UV_CACHE_DIR=/opt/stackserve/cache UV_HTTP_TIMEOUT=60 UV_NO_PROGRESS=1
export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt

# install SUFFIX [FLAG]   the lock files are called pylockSUFFIX.toml and requirementsSUFFIX.txt
install() {
    # pylock.toml has the URL of each file, which saves reading the index. A mirror needs names instead.
    lock=$code/pylock$1.toml
    [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX:-}" ] || lock=$code/requirements$1.txt
    shift
    "$uv" pip install --no-config --python "$venv/bin/python" \
        --require-hashes --no-deps --only-binary :all: --requirements "$lock" "$@"
}

# Without a stamp, what an earlier attempt downloaded may be incomplete.
rm -rf "$UV_CACHE_DIR"
if [ "${there#"$usual"}" = "$there" ]; then
    for python in python3 python3.13 python3.12 python3.11 ''; do
        [ -n "$python" ] || { echo "error: no Python from 3.11 to 3.13 is installed"; exit 1; }
        python=$(command -v "$python") || continue
        "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' && break
    done
    python3 "$here/fetch_uv.py" "$uv"
    "$uv" venv --quiet --clear --no-config --python "$python" "$venv"
    install ''
fi
# An earlier attempt may have left them, incomplete.
[ "${OIDC:-}" != yes ] || install .oidc --reinstall
rm -rf "$UV_CACHE_DIR"
# contextualize.py puts it in place.
echo "$stamp" > "$venv/stackserve-lock.new"
