#!/bin/sh
# Start the service, and be content only when a prediction has come back through the queue.
set -eu
count=$WORKERS
if [ "$count" = auto ]; then
    # As many as production_server starts on its own: half the cores, at least 1, at most 4.
    count=$(($(nproc) / 2))
    [ "$count" -ge 1 ] || count=1
    [ "$count" -le 4 ] || count=4
fi
units=
for number in $(seq "$count"); do
    units="$units stackserve-worker@$number.service"
done
[ "$ROLE" != server ] || units="$units stackserve-web.service stackserve-recorder.service"

# shellcheck disable=SC2086 # one word a unit
systemctl enable --quiet --now $units

url=
# A worker has no web tier: its server says whether predictions come back.
[ "$ROLE" = server ] || url="--url http://$BROKER_HOST:$PORT"
# shellcheck disable=SC2086
systemd-run --quiet --wait --pipe --collect --uid=stackserve --gid=stackserve \
    --property=EnvironmentFile=/etc/stackserve/server.env \
    --property=WorkingDirectory=/opt/stackserve/app \
    /opt/stackserve/venv/bin/python -m production_server wait-ready \
    --timeout "$READY_TIMEOUT" $url

# shellcheck disable=SC2086
systemctl is-active $units
