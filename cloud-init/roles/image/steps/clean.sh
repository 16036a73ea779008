#!/bin/sh
# The last step on a machine that becomes an image: delete everything specific to this machine.
# Packages, Python, code and compiled files stay. Keys, names, markers, logs, caches and the files
# from user data go: the next machine gets its own.
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

# From the launcher: certificates in the bundle, settings, programs.
sed -i '/^# stackserve begin$/,/^# stackserve end$/d' /etc/ssl/certs/ca-certificates.crt
rm -f /usr/local/share/ca-certificates/stackserve-*.crt
# A package may have rebuilt the bundle, with links to them.
[ ! -L /etc/ssl/certs/stackserve-1.pem ] || update-ca-certificates
systemctl disable --quiet contextualize.service
rm -f /etc/systemd/system/contextualize.service
rm -rf /etc/stackserve/* /opt/stackserve/contextualize /opt/stackserve/cache
if grep -q '^/swap.stackserve ' /proc/swaps; then
    swapoff /swap.stackserve
fi
rm -f /swap.stackserve
sed -i '\,^/swap.stackserve ,d' /etc/fstab

# Identity. At boot systemd fills an empty machine-id. If the file is missing, or says "uninitialized"
# (as after `cloud-init clean --machine-id`), it also enables every unit.
rm -f /etc/ssh/ssh_host_*
# Until cloud-init sets the next machine's own, early in its first boot.
echo localhost > /etc/hostname
truncate -s 0 /etc/machine-id
[ -L /var/lib/dbus/machine-id ] || rm -f /var/lib/dbus/machine-id
# Stop it now, or it writes a new seed at shutdown.
systemctl stop systemd-random-seed.service
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
rm -f /var/lib/dhcp/*.leases /etc/netplan/50-cloud-init.yaml \
    /etc/network/interfaces.d/50-cloud-init* /etc/systemd/network/10-cloud-init-* \
    /etc/udev/rules.d/*-persistent-net*.rules

# Login keys and shell histories.
for home in /root /home/*; do
    rm -rf "$home/.ssh" "$home/.cache" "$home/.ansible"
    rm -f "$home"/.*_history "$home/.wget-hsts" "$home/.lesshst"
done

# Caches and logs. Keep the timers' stamps: they record when updates were last checked for.
apt-get -q clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /tmp/* /var/tmp/*
# All of /var/lib/cloud, except a seed that came with the image.
cloud-init clean --logs
journalctl --quiet --relinquish-var
rm -rf /var/log/journal/* /var/log/stackserve
find /var/log -type f \( -name '*.gz' -o -name '*.[0-9]' \) -delete
find /var/log -type f -exec truncate -s 0 {} +

sync
# Keep freed blocks out of the image. Not every disk supports this.
fstrim / || true
