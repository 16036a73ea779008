#!/bin/sh
# The last step on a machine that becomes an image: delete everything specific to this machine.
# Packages, Python, code and compiled files stay.
set -eu

# Until cloud-init ends, even with an error, it writes into the folders below.
cloud-init status --wait > /dev/null || true

find /var/lib/stackserve -mindepth 1 -maxdepth 1 ! -name models -exec rm -rf {} +

# RabbitMQ is installed but was never started. On a server, RabbitMQ, worker and recorder start once
# account.py has created the secrets; the web tier waits for the user data.
mkdir -p /opt/stackserve/early
cd /opt/stackserve/contextualize
cp account.py certificates.py private.py /etc/stackserve/settings.env /opt/stackserve/early
cd /
systemctl enable --quiet --no-reload early-stackserve.service rabbitmq-server.service \
    stackserve-worker@1.service stackserve-recorder.service
find /var/lib/rabbitmq -mindepth 1 ! -type d -delete
rm -rf /var/lib/rabbitmq/mnesia/* /var/log/rabbitmq/*
rm -rf /etc/rabbitmq/stackserve-definitions.json /etc/rabbitmq/tls

exec /opt/stackserve/contextualize/forget.sh
