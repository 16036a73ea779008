#!/bin/sh
# The machine itself: folders, swap if memory is small, limited logs.
set -eu

# Nothing waits for cloud-init's last stage: let it give way to the steps.
systemctl set-property --runtime cloud-final.service StartupCPUWeight=1

install -d -m 0755 /opt/stackserve /opt/stackserve/bin
install -d -m 0750 -o stackserve -g stackserve /var/lib/stackserve
install -d -m 0755 -o stackserve -g stackserve /var/cache/stackserve
install -d -m 0755 /etc/stackserve

# Add the launcher's certificate authorities to the bundle now. The rest of update-ca-certificates
# takes long and can wait until the service is up.
bundle=/etc/ssl/certs/ca-certificates.crt
set -- /usr/local/share/ca-certificates/stackserve-*.crt
if [ -e "$1" ]; then
    {
        sed '/^# stackserve begin$/,/^# stackserve end$/d' "$bundle"
        # clean.sh deletes everything between these lines.
        echo '# stackserve begin'
        cat "$@"
        echo '# stackserve end'
    } > "$bundle.new"
    mv "$bundle.new" "$bundle"
fi

memory_kb=$(awk '/^MemTotal:/ {print $2}' /proc/meminfo)
size=$SWAP_MB
if [ "$size" = auto ]; then
    size=0
    # 2 GiB of memory, minus what the kernel reserves.
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
# On a machine that becomes an image, the folder is from an attempt that was cut off.
if [ -d /opt/stackserve/early ] && [ "$ROLE" != image ]; then
    "$here/early.sh" "$before"
else
    # Apply the size limit. A prepared image has it from the start.
    systemctl try-restart systemd-journald.service
fi

# If the installation is interrupted, the next boot continues it.
systemctl enable --quiet --no-reload contextualize.service
