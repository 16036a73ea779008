#!/bin/sh
# From a prepared image RabbitMQ, worker and recorder are on their way already, with what the image
# knew. For a server with other settings or other code worker and recorder begin anew; a worker VM
# has no use for any of it, nor for the secrets.
#   early.sh SETTINGS   the server.env that they were started with
set -eu
before=$1
units="stackserve-worker@1.service stackserve-recorder.service"

if [ "$ROLE" = worker ]; then
    units="$units rabbitmq-server.service"
    # shellcheck disable=SC2086 # one word a unit
    systemctl disable --quiet --now $units
    rm -f /etc/stackserve/server.env /etc/rabbitmq/stackserve-definitions.json
elif [ "$before" != "$(cat /etc/stackserve/server.env)" ] ||
    [ "$(cat /opt/stackserve/warmed)" != "$PAYLOAD_SHA256" ]; then
    # shellcheck disable=SC2086
    systemctl stop $units
else
    # It serves what it should: the web tier may begin, too.
    systemctl start --no-block stackserve-web.service
fi
systemctl disable --quiet --no-reload early-stackserve.service
rm -r /opt/stackserve/early
