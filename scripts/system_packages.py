"""Install the system packages that the tests use: a broker, a browser, containers, shells."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import container_engine
from environment import say

# A file that the tests need, and the Debian package that contains it.
PACKAGES = {
    "/usr/sbin/rabbitmq-server": "rabbitmq-server",
    "/usr/sbin/nginx": "nginx-light",
    "/usr/bin/dehydrated": "dehydrated",
    "/usr/bin/pebble": "pebble",
    "/usr/bin/chromium": "chromium",
    "/usr/bin/cloud-init": "cloud-init",
    "/usr/bin/curl": "curl",
    "/usr/bin/shellcheck": "shellcheck",
    "/usr/bin/systemd-analyze": "systemd",
    "/usr/bin/zsh": "zsh",
    "/usr/bin/fish": "fish",
    "/usr/lib/postgresql": "postgresql",
    "/usr/bin/docker-registry": "docker-registry",
    "/usr/sbin/sshd": "openssh-server",
    "/usr/bin/sudo": "sudo",
    **container_engine.PACKAGES,
}


def install_for_tests() -> None:
    """Install missing packages, if run as root on Debian or Ubuntu; otherwise do nothing."""
    missing = [package for path, package in PACKAGES.items() if not Path(path).exists()]
    if not missing or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    install(missing)


def install(packages: list[str]) -> None:
    """Install Debian packages without starting their services."""
    say(f"Installing system packages: {' '.join(packages)} ...")
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run([*apt, "update"], check=False, env=environment, stdout=subprocess.DEVNULL)
    subprocess.run(
        [*apt, "install", "-y", "--no-install-recommends", *packages],
        check=False,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
