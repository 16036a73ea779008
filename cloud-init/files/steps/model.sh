#!/bin/sh
# Test the model as the services will use it (warm.py), then start them, while RabbitMQ is installed.
set -eu
here=$(dirname "$0")

# The code and model that this was done for, by an earlier attempt or on the prepared image.
warmed=/opt/stackserve/warmed
if [ "$(cat "$warmed" 2>/dev/null)" != "$PAYLOAD_SHA256" ]; then
    # Those of the image's code, or of an attempt that was cut off; the code has its own. Machine code
    # stays: the name of its file depends on all that it was made from.
    models=/var/lib/stackserve/models
    [ ! -d "$models" ] || find "$models" -mindepth 1 -maxdepth 1 ! -name .compiled -exec rm -rf {} +
    # On an ordinary image the services wait longest for this, so it gets the processor first.
    # Bytecode is kept by path, and the services run from the folder that the link leads to.
    app=$(realpath -m /opt/stackserve/app)
    systemd-run --quiet --wait --pipe --collect --uid=stackserve --gid=stackserve \
        --property=StartupCPUWeight=1000 \
        --property=EnvironmentFile=/etc/stackserve/settings.env \
        --property=Environment=PYTHONPATH="$app" \
        --property=WorkingDirectory="$app" \
        /opt/stackserve/venv/bin/python "$here/warm.py" "$ROLE"
    # contextualize.py puts it in place.
    echo "$PAYLOAD_SHA256" > "$warmed.new"
fi

# A worker VM has no broker password yet, and an image never gets one.
[ "$ROLE" != server ] || "$here/services.sh"
