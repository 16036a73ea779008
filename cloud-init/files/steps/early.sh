#!/bin/sh
# On a prepared image RabbitMQ, worker and recorder are already starting, with the image's settings and
# code. If this server has others, stop worker and recorder, to be started again later. A worker VM
# needs none of them, nor the secrets.
#   early.sh SETTINGS   the server.env that they were started with
set -eu
before=$1
units="stackserve-worker@1.service stackserve-recorder.service"

if [ "$ROLE" = worker ]; then
    units="$units rabbitmq-server.service epmd.service epmd.socket"
    # shellcheck disable=SC2086 # one word a unit
    systemctl disable --quiet --now $units
    rm -rf /etc/stackserve/server.env /etc/rabbitmq/stackserve-definitions.json /etc/rabbitmq/tls
elif [ "$before" != "$(cat /etc/stackserve/server.env)" ] ||
    [ "$(cat /opt/stackserve/warmed)" != "$PAYLOAD_SHA256" ]; then
    # shellcheck disable=SC2086
    systemctl stop $units
else
    # Settings and code are right, so the web tier can start too.
    systemctl start --no-block stackserve-web.service
fi
systemctl disable --quiet --no-reload early-stackserve.service
rm -r /opt/stackserve/early
