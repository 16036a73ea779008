#!/bin/sh
# Start the service's units. They wait for RabbitMQ by themselves.
set -eu
count=$WORKERS
if [ "$count" = auto ]; then
    # The default of production_server (half_the_cores): at least 1, at most 4.
    count=$(($(nproc) / 2))
    [ "$count" -ge 1 ] || count=1
    [ "$count" -le 4 ] || count=4
fi
units=
for number in $(seq "$count"); do
    units="$units stackserve-worker@$number.service"
done
[ "$ROLE" != server ] || units="$units stackserve-web.service stackserve-recorder.service stackserve-trainer.service"

# shellcheck disable=SC2086 # one word a unit
systemctl enable --quiet --no-reload $units
# shellcheck disable=SC2086
systemctl start $units
echo "$units"
