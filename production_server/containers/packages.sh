#!/bin/sh
# Install the locked Python packages in the image's build, checking each hash. Nothing is built here.
# EXTRAS names other locks, whose packages are added.
# Secrets of the build, all optional: `authorities`, certificates for a proxy that reads along; and
# `index`, the URL of a package index to use instead of PyPI.
set -eu
secrets=/run/secrets
venv=/opt/stackserve/venv
lock=pylock.toml
if [ -e $secrets/authorities ]; then
    # Both, as the index may be reached without that proxy.
    export SSL_CERT_FILE=/tmp/authorities.pem
    cat /etc/ssl/certs/ca-certificates.crt $secrets/authorities >$SSL_CERT_FILE
fi
if [ -e $secrets/index ]; then
    UV_DEFAULT_INDEX=$(cat $secrets/index)
    export UV_DEFAULT_INDEX
    # The other lock has the addresses of PyPI's files.
    lock=requirements.txt
fi
export UV_NO_CACHE=1 UV_NO_PROGRESS=1 UV_LINK_MODE=copy UV_HTTP_TIMEOUT=60
python3 fetch_uv.py ./uv
./uv venv --quiet --no-config --python "$(command -v python3)" $venv
for extra in '' ${EXTRAS:-}; do
    ./uv pip install --no-config --python $venv/bin/python --require-hashes --no-deps \
        --only-binary :all: --requirements "${lock%.*}${extra:+.$extra}.${lock##*.}"
done
# Everybody could write to the lock.
rm -f ./uv /tmp/authorities.pem $venv/.lock
