#!/bin/sh
# Install the locked Python packages, checking each hash. Nothing is built here.
set -eu
here=$(dirname "$0")
code=/opt/stackserve/app/production_server
venv=/opt/stackserve/venv
stamp=$(sha256sum < "$code/requirements.txt")
[ "$(cat "$venv/stackserve-lock" 2>/dev/null)" != "$stamp" ] || exit 0

lock=$code/pylock.toml
# pylock.toml has the URL of each file, which saves reading the index. A mirror needs names instead.
[ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX:-}" ] || lock=$code/requirements.txt
uv=/opt/stackserve/bin/uv

for python in python3 python3.13 python3.12 python3.11 ''; do
    [ -n "$python" ] || { echo "error: no Python from 3.11 to 3.13 is installed"; exit 1; }
    python=$(command -v "$python") || continue
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' && break
done

export UV_CACHE_DIR=/opt/stackserve/cache UV_HTTP_TIMEOUT=60 UV_NO_PROGRESS=1
export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# Without a stamp, what an earlier attempt downloaded may be incomplete.
rm -rf "$UV_CACHE_DIR"
python3 "$here/fetch_uv.py" "$uv"
"$uv" venv --quiet --clear --no-config --python "$python" "$venv"
"$uv" pip install --no-config --python "$venv/bin/python" \
    --require-hashes --no-deps --only-binary :all: --requirements "$lock"
rm -rf "$UV_CACHE_DIR"
# contextualize.py puts it in place.
echo "$stamp" > "$venv/stackserve-lock.new"
