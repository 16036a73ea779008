"""The contents of the guest image. Their fingerprint is the name of its folder in the cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field

from openstack_lab.mirrors import apt_sources, debian_mirrors

SUITE = "bookworm"
DEBIAN = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = (
    "linux-image-cloud-amd64",
    "grub-pc-bin",
    "grub-common",
    "systemd-sysv",
    "dbus",
    "udev",
    "cloud-init",
    "cloud-guest-utils",
    "openssh-server",
    "python3",
    "python3-venv",
    "ca-certificates",
    "sudo",
    "curl",
    "git",
    "netplan.io",
    "systemd-resolved",
    "locales",
    "iproute2",
    "iputils-ping",
    "netbase",
    "fdisk",
    "e2fsprogs",
    "less",
    "procps",
)
LABEL = "cloudimg"
KERNEL_OPTIONS = (
    f"root=LABEL={LABEL} ro console=tty0 console=ttyS0,115200 net.ifnames=0 systemd.show_status=1"
)
# Path in the image -> its content.
FILES = {
    "etc/cloud/cloud.cfg.d/90-datasources.cfg": (
        "datasource_list: [ConfigDrive, OpenStack, NoCloud, None]\nlocale: C.UTF-8\n"
    ),
    # Open vSwitch in user space drops frames whose checksum virtio left to the hardware. udev uses
    # the first file that matches, and netplan writes its 10-netplan-eth0.link at the first boot.
    "etc/systemd/network/00-virtio.link": (
        "[Match]\nDriver=virtio_net\n\n"
        "[Link]\nNamePolicy=keep kernel\nTransmitChecksumOffload=false\n"
        "TCPSegmentationOffload=false\nTCP6SegmentationOffload=false\n"
        "GenericSegmentationOffload=false\n"
    ),
    "etc/fstab": f"LABEL={LABEL} / ext4 defaults,discard,errors=remount-ro 0 1\n",
    "etc/hostname": "debian\n",
    # Debian points these two links at the newest kernel, so upgrades need no new menu.
    "boot/grub/grub.cfg": (
        "serial --unit=0 --speed=115200\nterminal_input serial console\n"
        "terminal_output serial console\n"
        "set timeout=0\n"
        f"search --no-floppy --label --set=root {LABEL}\n"
        f"linux /vmlinuz {KERNEL_OPTIONS}\ninitrd /initrd.img\nboot\n"
    ),
}
# Modules of the initrd that a virtual machine needs, and a compression that is fast to unpack
# on an emulated CPU.
INITRAMFS = (
    "MODULES=list\nCOMPRESS=lz4\n",
    "virtio_pci\nvirtio_blk\nvirtio_scsi\nvirtio_net\nsd_mod\next4\ncrc32c_generic\n"
    # The config drive is a CD. cloud-init reads it before udev has loaded these modules.
    "ata_piix\nahci\nsr_mod\nisofs\n",
)


def sources(mirror: str = DEBIAN, security: str = SECURITY) -> str:
    """A sources.list for the suite."""
    return (
        f"deb {mirror} {SUITE} main\n"
        f"deb {mirror} {SUITE}-updates main\n"
        f"deb {security} {SUITE}-security main\n"
    )


@dataclass(frozen=True)
class Recipe:
    """A distribution, and the packages and files to add."""

    built_from: str = field(default_factory=sources)
    """Package sources for the build only."""
    sources: str = field(default_factory=sources)
    suite: str = SUITE
    keyring: str = ""
    """Keyring of the archive, if apt on this machine does not trust it."""
    packages: tuple[str, ...] = PACKAGES
    files: dict[str, str] = field(default_factory=lambda: dict(FILES))
    initramfs: tuple[str, str] = INITRAMFS

    @property
    def content(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def of_host() -> Recipe:
    """The recipe with this machine's Debian mirror, if it has one."""
    mirror, security = debian_mirrors(apt_sources())
    return Recipe(built_from=sources(mirror or DEBIAN, security or SECURITY))
