#!/bin/sh
# Start RabbitMQ with the account that account.py created.
# RabbitMQ reads it from the definitions file at its first start, so there is never a guest account
# and no rabbitmqctl command to run.
set -eu
unit=rabbitmq-server.service

if [ -z "${CUT_OFF:-}" ] && [ -e /run/stackserve-rabbitmq ]; then
    # On a prepared image it is already starting, with the right configuration.
    systemctl start "$unit"
    exit
fi
if [ -n "${CUT_OFF:-}" ]; then
    # It may have been reset while it created its database, which holds nothing yet.
    systemctl stop "$unit"
    rm -rf /var/lib/rabbitmq/mnesia
fi
# The package created the group that may read the definitions.
"$(dirname "$0")/account.py"
# Skip the package's old init script, which would make systemd reload all units.
SYSTEMCTL_SKIP_SYSV=1 systemctl enable --quiet --no-reload "$unit"
# This returns when RabbitMQ itself reports that it has started.
systemctl restart "$unit"
