#!/bin/sh
# Test the model as the services will use it (warm.py), then start them, while RabbitMQ is installed.
set -eu
here=$(dirname "$0")

tested() {
    # On a prepared image, clean.sh recorded the code and model that this was done for.
    warmed=/opt/stackserve/warmed
    [ -e "$warmed" ] || return 1
    baked=$(cat "$warmed")
    rm "$warmed"
    [ "$baked" != "$PAYLOAD_SHA256" ] || return 0
    # These came with the image's code; the new code has its own.
    rm -rf /var/lib/stackserve/models
    return 1
}

# On an ordinary image the services wait longest for this, so it gets the processor first.
tested || systemd-run --quiet --wait --pipe --collect --uid=stackserve --gid=stackserve \
    --property=StartupCPUWeight=1000 \
    --property=EnvironmentFile=/etc/stackserve/settings.env \
    --property=Environment=PYTHONPATH=/opt/stackserve/app \
    --property=WorkingDirectory=/opt/stackserve/app \
    /opt/stackserve/venv/bin/python "$here/warm.py" "$ROLE"

# A worker VM has no broker password yet, and an image never gets one.
[ "$ROLE" != server ] || "$here/services.sh"
