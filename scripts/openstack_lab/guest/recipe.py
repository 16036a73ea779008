"""What the guest image holds; its fingerprint names the file in the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from openstack_lab.deployment_settings import SOURCES, debian_mirrors

SUITE = "bookworm"
DEBIAN = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = (
    "linux-image-cloud-amd64", "grub-pc-bin", "systemd-sysv", "dbus", "udev", "cloud-init",
    "cloud-guest-utils", "cloud-initramfs-growroot", "openssh-server", "python3", "python3-venv",
    "ca-certificates", "sudo", "curl", "git", "netplan.io", "systemd-resolved",
    "systemd-timesyncd", "locales", "iproute2", "iputils-ping", "netbase", "gdisk", "fdisk",
    "e2fsprogs", "less", "procps",
)  # fmt: skip
KERNEL_OPTIONS = "root=LABEL=cloudimg rw console=tty0 console=ttyS0,115200 net.ifnames=0"
# Path in the image -> its content.
FILES = {
    "/etc/cloud/cloud.cfg.d/90-datasources.cfg": (
        "datasource_list: [ConfigDrive, OpenStack, NoCloud, None]\nlocale: C.UTF-8\n"
    ),
    # A switch in user space gets frames whose checksums virtio left to others, and drops them.
    "/etc/systemd/network/10-virtio.link": (
        "[Match]\nDriver=virtio_net\n\n[Link]\nNamePolicy=\nName=eth0\n"
    ),
    "/etc/fstab": "LABEL=cloudimg / ext4 errors=remount-ro,x-systemd.growfs 0 1\n",
    "/etc/hostname": "debian\n",
}


@dataclass(frozen=True)
class Recipe:
    """Mirrors and content. The mirrors build the image, and are not left in it."""

    mirror: str = DEBIAN
    security: str = SECURITY
    packages: tuple[str, ...] = PACKAGES
    files: dict[str, str] = field(default_factory=lambda: dict(FILES))
    options: str = KERNEL_OPTIONS
    layout: int = 1

    @property
    def content(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def of_host() -> Recipe:
    """The recipe with this machine's own Debian mirror, if it has one."""
    texts = [
        path.read_text()
        for place in SOURCES
        for path in (sorted(place.glob("*")) if place.is_dir() else [place])
        if path.suffix in (".list", ".sources") and path.exists()
    ]
    mirror, security = debian_mirrors(texts)
    return Recipe(mirror=mirror or DEBIAN, security=security or SECURITY)


def sources(mirror: str, security: str) -> str:
    """A sources.list of the suite."""
    return (
        f"deb {mirror} {SUITE} main\n"
        f"deb {mirror} {SUITE}-updates main\n"
        f"deb {security} {SUITE}-security main\n"
    )


def keyring() -> Path:
    return Path(KEYRING)
