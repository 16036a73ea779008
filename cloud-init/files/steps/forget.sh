#!/bin/sh
# On a machine that becomes an image, delete what is specific to this machine. Keys, names, markers,
# logs, caches and our files from user data go: the next machine gets its own. Packages stay.
set -eu

# Until cloud-init ends, even with an error, it writes into the folders below.
cloud-init status --wait > /dev/null || true

# From the launcher: certificates in the bundle, settings, programs.
sed -i '/^# stackserve begin$/,/^# stackserve end$/d' /etc/ssl/certs/ca-certificates.crt
rm -f /usr/local/share/ca-certificates/stackserve-*.crt
# A package may have rebuilt the bundle, with links to them.
[ ! -L /etc/ssl/certs/stackserve-1.pem ] || update-ca-certificates
systemctl disable --quiet contextualize.service
rm -f /etc/systemd/system/contextualize.service /usr/local/sbin/stackserve-deliver \
    /usr/local/sbin/stackserve-update
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
