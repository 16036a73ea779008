#!/bin/sh
# Starts RabbitMQ with the service's own account, whose password account.py made.
# RabbitMQ reads the definitions file at its first start, so it never has a guest account and
# needs no command of its own for each setting.
set -eu
unit=rabbitmq-server.service

if [ -e /run/stackserve-rabbitmq ]; then
    # From a prepared image it has been starting for a while, with the configuration it should have.
    systemctl start "$unit"
    exit
fi
# The group that may read the definitions came with its package.
"$(dirname "$0")/account.py"
# Not the package's script of old as well, after which systemd reads all units again.
SYSTEMCTL_SKIP_SYSV=1 systemctl enable --quiet --no-reload "$unit"
# Its unit says that it has started only when RabbitMQ itself says so.
systemctl restart "$unit"
