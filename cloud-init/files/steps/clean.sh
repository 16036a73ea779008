#!/bin/sh
# The last step on a machine that becomes an image: nothing that makes it this one machine stays.
# Packages, Python, code and what was compiled stay; keys, names, marks, logs and caches go, and
# with them all that user data writes: the next machine gets its own.
set -eu

# It writes into the folders below until it has ended, whether or not it is content.
cloud-init status --wait > /dev/null || true

# For model.sh: what was tried and compiled here, so that it need not be done again.
echo "$PAYLOAD_SHA256" > /opt/stackserve/warmed
find /var/lib/stackserve -mindepth 1 -maxdepth 1 ! -name models -exec rm -rf {} +

# RabbitMQ is installed and was never started. On a server it starts with the worker and the
# recorder as soon as account.py has made the secrets; the web tier waits for the user data.
mkdir -p /opt/stackserve/early
cp /opt/stackserve/contextualize/account.py /opt/stackserve/contextualize/private.py \
    /etc/stackserve/settings.env /opt/stackserve/early
systemctl enable --quiet --no-reload early-stackserve.service rabbitmq-server.service \
    stackserve-worker@1.service stackserve-recorder.service
find /var/lib/rabbitmq -mindepth 1 ! -type d -delete
rm -rf /var/lib/rabbitmq/mnesia/* /var/log/rabbitmq/*
rm -f /etc/rabbitmq/stackserve-definitions.json

# What the launcher gave: certificates at the end of the bundle, settings, the programs.
truncate -s "$(cat /etc/stackserve/certificates-added)" /etc/ssl/certs/ca-certificates.crt
rm -f /usr/local/share/ca-certificates/stackserve-*.crt
systemctl disable --quiet contextualize.service
rm -f /etc/systemd/system/contextualize.service
rm -rf /etc/stackserve/* /opt/stackserve/contextualize /opt/stackserve/cache
if grep -q '^/swap.stackserve ' /proc/swaps; then
    swapoff /swap.stackserve
fi
rm -f /swap.stackserve
sed -i '\,^/swap.stackserve ,d' /etc/fstab

# Who this machine is. An empty machine-id is made anew at boot; a missing one, or the
# "uninitialized" of `cloud-init clean --machine-id`, makes systemd enable every unit besides.
rm -f /etc/ssh/ssh_host_*
# Until cloud-init gives the next machine its own, early in its first boot.
echo localhost > /etc/hostname
truncate -s 0 /etc/machine-id
[ -L /var/lib/dbus/machine-id ] || rm -f /var/lib/dbus/machine-id
# Stopped now, it does not write a new seed when the machine shuts down.
systemctl stop systemd-random-seed.service
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
rm -f /var/lib/dhcp/*.leases /etc/netplan/50-cloud-init.yaml \
    /etc/network/interfaces.d/50-cloud-init* /etc/systemd/network/10-cloud-init-* \
    /etc/udev/rules.d/*-persistent-net*.rules

# Who may log in, and what was typed.
for home in /root /home/*; do
    rm -rf "$home/.ssh" "$home/.cache" "$home/.ansible"
    rm -f "$home"/.*_history "$home/.wget-hsts" "$home/.lesshst"
done

# Caches and logs. The stamps of the timers stay: they say when updates were last looked for.
apt-get -q clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /tmp/* /var/tmp/*
# All of /var/lib/cloud, but for a seed that the image itself may have come with.
cloud-init clean --logs
journalctl --quiet --relinquish-var
rm -rf /var/log/journal/* /var/log/stackserve
find /var/log -type f \( -name '*.gz' -o -name '*.[0-9]' \) -delete
find /var/log -type f -exec truncate -s 0 {} +

sync
# Freed blocks need not be in the image; not every disk can be told.
fstrim / || true
