"""Disks with Ubuntu, made as the lab makes Debian's: no cloud image of theirs is needed."""

from __future__ import annotations

import hashlib
import subprocess
import urllib.request
from ipaddress import IPv4Network
from pathlib import Path

from openstack_lab.guest.build import ensure_guest
from openstack_lab.guest.recipe import FILES, PACKAGES, Recipe
from openstack_lab.layout import Layout
from openstack_lab.progress import Progress
from openstack_lab.settings import DEFAULT_NETWORK, Settings

ARCHIVE = "http://archive.ubuntu.com/ubuntu"
KEYS = f"{ARCHIVE}/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
KEYS_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"
INSTEAD = {"linux-image-cloud-amd64": "linux-image-virtual"}
# What Debian has from its smallest selection on, and cloud-init asks for the release.
MORE = ("apt", "gpgv", "initramfs-tools", "lsb-release", "lz4", "ubuntu-keyring", "zstd")
# Where systemd's own package has it.
PART_OF_SYSTEMD = {"jammy": ("systemd-resolved",)}


def disk(codename: str, folder: Path) -> Path:
    """A disk that boots this release; takes some minutes."""
    layout = Layout(Settings(folder, folder / "cache", IPv4Network(DEFAULT_NETWORK)))
    layout.logs.mkdir(parents=True)
    return ensure_guest(layout, _recipe(codename, _keyring(folder)), Progress()).disk


def _recipe(codename: str, keyring: Path) -> Recipe:
    pockets = (codename, f"{codename}-updates", f"{codename}-security")
    sources = "".join(f"deb {ARCHIVE} {pocket} main universe\n" for pocket in pockets)
    lacks = PART_OF_SYSTEMD.get(codename, ())
    packages = [INSTEAD.get(name, name) for name in PACKAGES if name not in lacks]
    menu = FILES["boot/grub/grub.cfg"]
    for name in ("/vmlinuz", "/initrd.img"):
        menu = menu.replace(f" {name}", f" /boot{name}")
    return Recipe(
        built_from=sources,
        sources=sources,
        suite=codename,
        keyring=str(keyring),
        packages=(*packages, *MORE),
        files=FILES | {"boot/grub/grub.cfg": menu, "etc/hostname": "ubuntu\n"},
    )


def _keyring(folder: Path) -> Path:
    """Who signs Ubuntu's archive."""
    package = folder / "keys.deb"
    with urllib.request.urlopen(KEYS, timeout=60) as answer:
        package.write_bytes(answer.read())
    assert hashlib.sha256(package.read_bytes()).hexdigest() == KEYS_SHA256
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder / "keys")], check=True)
    return folder / "keys/usr/share/keyrings/ubuntu-archive-keyring.gpg"
