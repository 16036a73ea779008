#!/bin/sh
# Try the model as the services will, see warm.py; then start them, beside RabbitMQ's installation.
set -eu
here=$(dirname "$0")

tried() {
    # On a prepared image, clean.sh tells for which code and model this was done already.
    warmed=/opt/stackserve/warmed
    [ -e "$warmed" ] || return 1
    baked=$(cat "$warmed")
    rm "$warmed"
    [ "$baked" != "$PAYLOAD_SHA256" ] || return 0
    # Of the image's own code: the new code brings its own.
    rm -rf /var/lib/stackserve/models
    return 1
}

# The longest of what the services wait for on an ordinary image: it goes first.
tried || systemd-run --quiet --wait --pipe --collect --uid=stackserve --gid=stackserve \
    --property=StartupCPUWeight=1000 \
    --property=EnvironmentFile=/etc/stackserve/settings.env \
    --property=Environment=PYTHONPATH=/opt/stackserve/app \
    --property=WorkingDirectory=/opt/stackserve/app \
    /opt/stackserve/venv/bin/python "$here/warm.py" "$ROLE"

# A worker VM is not told yet where its broker is, a machine that becomes an image never.
[ "$ROLE" != server ] || "$here/services.sh"
