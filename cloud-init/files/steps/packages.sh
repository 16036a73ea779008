#!/bin/sh
# RabbitMQ and what the image lacks; no recommended packages, no upgrade.
set -eu
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1

# Also on a prepared image: updates come from there later.
[ -z "${APT_MIRROR:-}${APT_SECURITY_MIRROR:-}" ] || python3 "$(dirname "$0")/sources.py"

wanted=$EXTRA_PACKAGES
[ "$ROLE" = worker ] || wanted="$wanted rabbitmq-server"
[ -z "$PYTHON_IS_OLD" ] || wanted="$wanted python3.11"

missing=
for package in $wanted; do
    dpkg-query -W -f '${db:Status-Status}\n' "${package%%=*}" 2>/dev/null | grep -qx installed ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

# apt's proxy, and the sources of some images, are set by cloud-init's next stage: wait for that.
systemctl start cloud-config.service || true

apt() {
    # Another apt may run at first boot: wait for its lock. Sources and translations are
    # most of what `update` would fetch, and of no use here.
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
# The installation makes the cache of all packages, for its sources; not the update as well.
apt -o pkgCacheFile::Generate=false update
# Erlang's package asks dpkg for the owner of each service, and each package has systemd read all its
# units again: more than half of the installation. They find programs that have nothing to say.
# RabbitMQ is enabled and started by a later step, with epmd; the timer that comes along is so here.
silent=$(mktemp -d)
for program in systemctl deb-systemd-helper deb-systemd-invoke; do
    ln -s /bin/true "$silent/$program"
done
# shellcheck disable=SC2086 # one word a package
apt --no-install-recommends -o "DPkg::Path=$silent:/usr/sbin:/usr/bin:/sbin:/bin" install $missing
rm -r "$silent"
if [ -e /lib/systemd/system/logrotate.timer ]; then
    systemctl enable --quiet --no-reload logrotate.timer
    systemctl start logrotate.timer
fi
