#!/bin/sh
# Install the packages of the role that are missing; no recommended packages, no upgrade.
set -eu
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
# What there was before the installation, until the stamp says that all of it is on the disk.
before=/etc/stackserve/packages-before
stamp=/etc/stackserve/packages-installed

known() {
    dpkg-query -W -f '${binary:Package}\t${Version}\t${db:Status-Status}\n' | LC_ALL=C sort
}

# On a prepared image too: later updates come from the mirror.
[ -z "${APT_MIRROR:-}${APT_SECURITY_MIRROR:-}" ] || python3 "$(dirname "$0")/sources.py"

wanted=$EXTRA_PACKAGES
[ -z "$PYTHON_IS_OLD" ] || wanted="$wanted python3.11"

# Packages that an attempt which was cut off has changed. Their files may be empty, because dpkg does
# not sync them (force-unsafe-io), and dpkg's own checksums cover only some of them.
damaged=
if [ -e "$before" ] && [ ! -e "$stamp" ]; then
    damaged=$(known | LC_ALL=C comm -13 "$before" - |
        awk -F '\t' '$3 != "config-files" && $3 != "not-installed" {print $1}')
    # What was downloaded may be incomplete too.
    apt-get -q clean
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
fi

missing=
for package in $wanted; do
    dpkg-query -W -f '${db:Status-Status}\n' "${package%%=*}" 2>/dev/null | grep -qx installed ||
        missing="$missing $package"
done
[ -n "$missing$damaged" ] || exit 0

# cloud-init's next stage sets apt's proxy and, on some images, the sources: wait for it.
systemctl start cloud-config.service || true

apt() {
    # Wait for another apt's lock at first boot. Skip translations and the indexes of source packages:
    # they are most of what `update` fetches.
    apt-get -q -y \
        -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 \
        -o Acquire::http::Timeout=30 \
        -o Acquire::https::Timeout=30 \
        -o Acquire::Languages=none \
        -o Acquire::IndexTargets::deb-src::Sources::DefaultEnabled=false \
        -o APT::Update::Error-Mode=any \
        -o Dpkg::Options::=--force-confold \
        -o Dpkg::Options::=--force-unsafe-io \
        -o Dpkg::Use-Pty=0 \
        "$@"
}
rm -f "$stamp"
if [ ! -e "$before" ]; then
    known > "$before.new"
    sync "$before.new"
    mv "$before.new" "$before"
    sync /etc/stackserve
fi
# Installing builds the package cache anyway, so the update need not.
apt -o pkgCacheFile::Generate=false update
# Each package makes systemd reload all units, and then starts its own: more than half of the
# installation time. So systemctl only edits files until apt has ended, and the services start below;
# RabbitMQ and epmd in a later step. Nothing is left to undo if this is cut off.
export SYSTEMD_OFFLINE=1
began=$(mktemp)
# The proxy runs nginx with a configuration of its own, not as the package's service.
case " $wanted " in *" nginx"*) ln -sf /dev/null /etc/systemd/system/nginx.service ;; esac
again=
if [ -n "$damaged" ]; then
    # The versions that were asked for come last: they win.
    missing="$damaged $wanted" again=--reinstall
fi
# After a reset, apt refuses to work until dpkg has read its journal. Packages that cannot be
# configured are installed again below.
if [ -n "$damaged" ] || [ -n "$(ls /var/lib/dpkg/updates)" ]; then
    dpkg --configure --force-confold -a || true
fi
# shellcheck disable=SC2086 # one word a package
apt --no-install-recommends $again install $missing
unset SYSTEMD_OFFLINE
started_later='rabbitmq-server.*|epmd.*|stackserve-.*'
enabled=$(find /etc/systemd/system -path '*.wants/*' -type l -newer "$began" -printf '%f\n' |
    grep -vxE "$started_later" | sort -u || true)
rm "$began"
# shellcheck disable=SC2086 # one word a unit
[ -z "$enabled" ] || systemctl start --no-block $enabled || true
# contextualize.py puts it in place.
touch "$stamp.new"
