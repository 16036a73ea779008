"""Build bootable disks of the systems that a server may run, in the way the lab builds its image.

They are built from the packages of each distribution, so no published cloud image is needed.
"""

from __future__ import annotations

import hashlib
import subprocess
import urllib.request
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

from openstack_lab.guest.build import ensure_guest
from openstack_lab.guest.recipe import DEBIAN, FILES, PACKAGES, SECURITY, Recipe
from openstack_lab.layout import Layout
from openstack_lab.mirrors import apt_sources, debian_mirrors
from openstack_lab.progress import Progress
from openstack_lab.settings import DEFAULT_NETWORK, Settings

UBUNTU = "http://archive.ubuntu.com/ubuntu"
KEYS = f"{UBUNTU}/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
KEYS_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"
SUBSTITUTES = {"linux-image-cloud-amd64": "linux-image-virtual"}
# Debian's minimal set includes these packages. cloud-init uses lsb-release to detect the release.
EXTRA_PACKAGES = ("apt", "gpgv", "initramfs-tools", "lsb-release", "lz4", "ubuntu-keyring", "zstd")
# Packages that are part of systemd in these releases.
PART_OF_SYSTEMD = {"jammy": ("systemd-resolved",)}


def disk(codename: str, folder: Path) -> Path:
    """Build a disk that boots this release, which takes some minutes."""
    layout = Layout(Settings(folder, folder / "cache", IPv4Network(DEFAULT_NETWORK)))
    layout.logs.mkdir(parents=True)
    return ensure_guest(layout, RECIPES[codename](codename, folder), Progress()).disk


def user(codename: str) -> str:
    """The account that cloud-init creates in this release."""
    return "debian" if RECIPES[codename] is debian else "ubuntu"


def debian(codename: str, _folder: Path) -> Recipe:
    """The lab's image with another Debian release."""
    mirror, security = debian_mirrors(apt_sources())
    return Recipe(
        built_from=_debian_sources(codename, mirror or DEBIAN, security or SECURITY),
        sources=_debian_sources(codename, DEBIAN, SECURITY),
        suite=codename,
    )


def _debian_sources(codename: str, archive: str, security: str) -> str:
    return (
        f"deb {archive} {codename} main\n"
        f"deb {archive} {codename}-updates main\n"
        f"deb {security} {codename}-security main\n"
    )


def ubuntu(codename: str, folder: Path) -> Recipe:
    """The lab's image with Ubuntu's kernel, sources and keys."""
    pockets = (codename, f"{codename}-updates", f"{codename}-security")
    sources = "".join(f"deb {UBUNTU} {pocket} main universe\n" for pocket in pockets)
    missing = PART_OF_SYSTEMD.get(codename, ())
    packages = [SUBSTITUTES.get(name, name) for name in PACKAGES if name not in missing]
    menu = FILES["boot/grub/grub.cfg"]
    for name in ("/vmlinuz", "/initrd.img"):
        menu = menu.replace(f" {name}", f" /boot{name}")
    return Recipe(
        built_from=sources,
        sources=sources,
        suite=codename,
        keyring=str(_ubuntu_keyring(folder)),
        packages=(*packages, *EXTRA_PACKAGES),
        files=FILES | {"boot/grub/grub.cfg": menu, "etc/hostname": "ubuntu\n"},
    )


def _ubuntu_keyring(folder: Path) -> Path:
    """Download the keys that sign Ubuntu's archive."""
    package = folder / "keys.deb"
    with urllib.request.urlopen(KEYS, timeout=60) as response:
        package.write_bytes(response.read())
    assert hashlib.sha256(package.read_bytes()).hexdigest() == KEYS_SHA256
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder / "keys")], check=True)
    return folder / "keys/usr/share/keyrings/ubuntu-archive-keyring.gpg"


RECIPES: dict[str, Callable[[str, Path], Recipe]] = {
    "trixie": debian,
    "noble": ubuntu,
    "jammy": ubuntu,
}
