#!/bin/sh
# Try the model as the services will, before anything is started; see warm.py.
set -eu
here=$(dirname "$0")

# On a prepared image, clean.sh tells for which code and model this was done already.
warmed=/opt/stackserve/warmed
if [ -e "$warmed" ]; then
    baked=$(cat "$warmed")
    rm "$warmed"
    [ "$baked" != "$PAYLOAD_SHA256" ] || exit 0
    # Of the image's own code: the new code brings its own.
    rm -rf /var/lib/stackserve/models
fi
exec systemd-run --quiet --wait --pipe --collect --uid=stackserve --gid=stackserve \
    --property=EnvironmentFile=/etc/stackserve/settings.env \
    --property=Environment=PYTHONPATH=/opt/stackserve/app \
    --property=WorkingDirectory=/opt/stackserve/app \
    /opt/stackserve/venv/bin/python "$here/warm.py"
