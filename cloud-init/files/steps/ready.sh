#!/bin/sh
# Start the service, and be content only when a prediction has come back through the queue.
set -eu
workers=$WORKERS
[ "$workers" != auto ] || workers=$(nproc)
units=
for number in $(seq "$workers"); do
    units="$units stackserve-worker@$number.service"
done
[ "$ROLE" != server ] || units="$units stackserve-web.service stackserve-recorder.service"

systemctl daemon-reload
# shellcheck disable=SC2086 # one word a unit
systemctl enable --quiet --now $units

cd /opt/stackserve/app
systemd-run --quiet --wait --pipe --collect --uid=stackserve \
    --property=EnvironmentFile=/etc/stackserve/server.env \
    --property=Environment=PYTHONPYCACHEPREFIX=/var/cache/stackserve/bytecode \
    --working-directory=/opt/stackserve/app \
    /opt/stackserve/venv/bin/python -m production_server wait-ready --timeout "$READY_TIMEOUT"

# shellcheck disable=SC2086
systemctl is-active $units
