#!/bin/sh
# The machine itself: folders, swap where memory is small, bounded logs.
set -eu

# Nobody waits for cloud-init's last stage: it leaves the processor to the steps.
systemctl set-property --runtime cloud-final.service StartupCPUWeight=1

install -d -m 0755 /opt/stackserve /opt/stackserve/bin
install -d -m 0750 -o stackserve -g stackserve /var/lib/stackserve
install -d -m 0755 -o stackserve -g stackserve /var/cache/stackserve
install -d -m 0755 /etc/stackserve

# The launcher's certificate authorities: into the bundle at once. The rest of what
# update-ca-certificates does takes long and can wait until the service is up.
added=/etc/stackserve/certificates-added
if [ ! -e "$added" ]; then
    # Its size before, for clean.sh.
    stat -c %s /etc/ssl/certs/ca-certificates.crt > "$added"
    find /usr/local/share/ca-certificates -name 'stackserve-*.crt' -exec cat {} + \
        >> /etc/ssl/certs/ca-certificates.crt
fi

memory_kb=$(awk '/^MemTotal:/ {print $2}' /proc/meminfo)
size=$SWAP_MB
if [ "$size" = auto ]; then
    size=0
    # Two GiB of memory, less what the kernel keeps for itself.
    [ "$memory_kb" -ge 1900000 ] || size=2048
fi
if [ "$size" -gt 0 ] && ! grep -q '^/swap.stackserve ' /proc/swaps; then
    fallocate -l "${size}M" /swap.stackserve
    chmod 0600 /swap.stackserve
    mkswap -q /swap.stackserve
    swapon /swap.stackserve
    grep -q '^/swap.stackserve ' /etc/fstab || echo '/swap.stackserve none swap sw 0 0' >> /etc/fstab
fi

here=$(dirname "$0")
before=$(cat /etc/stackserve/server.env 2>/dev/null || true)
[ "$ROLE" != server ] || "$here/account.py"
if [ -d /opt/stackserve/early ]; then
    "$here/early.sh" "$before"
else
    # For its bounds, which a prepared image has from the start.
    systemctl try-restart systemd-journald.service
fi

# Should the installation be interrupted, the next boot goes on with it.
systemctl enable --quiet --no-reload contextualize.service
