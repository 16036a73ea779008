"""Builds the guest image: installs packages into a folder, and turns it into a bootable disk.

It needs no loop device: mkfs fills the file system, and the boot loader is two files that are
written in front of it.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from openstack_lab import lock
from openstack_lab.errors import LabError
from openstack_lab.guest.recipe import LABEL, Recipe
from openstack_lab.layout import Layout
from openstack_lab.mirrors import apt_proxy
from openstack_lab.progress import Progress

SECTOR = 512
FIRST_SECTOR = 2048
DISK_MIB = 3072
LOG = "guest-image.log"
# The features that the guest's boot loader supports, whatever this machine's mkfs defaults to.
MKE2FS = """[defaults]
base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
blocksize = 4096
inode_size = 256
inode_ratio = 16384
[fs_types]
ext4 = {
  features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
}
"""
GRUB_MODULES = (
    "biosdisk",
    "part_msdos",
    "ext2",
    "normal",
    "linux",
    "search",
    "search_label",
    "configfile",
    "serial",
    "terminal",
    "echo",
)


@dataclass(frozen=True)
class Guest:
    """A built image in the cache. The disk is bootable; kernel and initrd are copies."""

    folder: Path

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd.img"

    @property
    def content(self) -> str:
        return self.folder.name


def ensure_guest(layout: Layout, recipe: Recipe, progress: Progress) -> Guest:
    """The image of this recipe. Builds it if the cache lacks it."""
    guest = Guest(layout.images / recipe.content)
    if not guest.disk.exists():
        # Several labs may share the cache.
        with lock.hold(layout.images / ".lock", "scripts/lab up", progress.say) as held:
            if not guest.disk.exists():
                _build(guest, layout, recipe, progress, Runner(layout.logs / LOG, held))
    return guest


def _build(
    guest: Guest, layout: Layout, recipe: Recipe, progress: Progress, runner: Runner
) -> None:
    work = layout.images / f".{recipe.content}.new"
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    with progress.step("Guest image: packages"):
        root = _install_packages(recipe, work, runner)
    with progress.step("Guest image: disk"):
        _configure(recipe, root)
        _write_disk(root, work, runner)
    shutil.rmtree(root)
    work.rename(guest.folder)
    for old in outdated(layout.images):
        shutil.rmtree(old)


def outdated(images: Path, keep: int = 2) -> list[Path]:
    """All built images except the newest ones. An older checkout may still use the second."""
    built = sorted(images.glob("*/disk.qcow2"), key=lambda disk: disk.stat().st_mtime)
    return [disk.parent for disk in built[:-keep]]


@dataclass(frozen=True)
class Runner:
    """Runs the commands of a build."""

    log: Path
    lock: int
    """Held by the commands, too: if `up` is killed, the next one waits for them."""

    def run(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        with self.log.open("ab") as sink:
            done = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                check=False,
                pass_fds=(self.lock,),
            )
        if done.returncode:
            raise LabError(f"Building the guest image failed at {command[0]}.", f"Read {self.log}.")


def _install_packages(recipe: Recipe, work: Path, runner: Runner) -> Path:
    """Install the packages in a mount namespace, so that no mounts are left."""
    root = work / "root"
    listing = work / "sources.list"
    listing.write_text(recipe.built_from)
    modules, names = recipe.initramfs
    (work / "modules.conf").write_text(modules)
    (work / "modules").write_text(names)
    proxy = apt_proxy()
    runner.run(
        [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            "--architectures=amd64",
            f"--include={','.join(recipe.packages)}",
            '--aptopt=Acquire::Languages "none"',
            *([f'--aptopt=Acquire::http::Proxy "{proxy}"'] if proxy else []),
            *([f"--keyring={recipe.keyring}"] if recipe.keyring else []),
            # Before the kernel package generates its initrd.
            "--essential-hook=mkdir -p $1/etc/initramfs-tools/conf.d",
            f"--essential-hook=cp {work}/modules.conf $1/etc/initramfs-tools/conf.d/lab.conf",
            f"--essential-hook=cp {work}/modules $1/etc/initramfs-tools/modules",
            recipe.suite,
            str(root),
            str(listing),
        ],
    )
    return root


def _configure(recipe: Recipe, root: Path) -> None:
    """Write our files and the public mirrors, and remove the machine's identity."""
    for name, text in recipe.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "etc/apt/sources.list").write_text(recipe.sources)
    for pattern in (
        "etc/apt/apt.conf.d/99mmdebstrap",
        "etc/apt/sources.list.d/0000sources.list",
        "etc/ssh/ssh_host_*",
        "var/cache/apt/*.bin",
        "var/cache/apt/archives/*.deb",
        "var/lib/apt/lists/*_*",
        "var/lib/dbus/machine-id",
    ):
        for path in root.glob(pattern):
            path.unlink()
    (root / "etc/machine-id").write_text("")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")


def _write_disk(root: Path, work: Path, runner: Runner) -> None:
    """Write a partitioned disk that a BIOS boots, and copies of kernel and initrd."""
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(_link_target(root, name), work / name)
    grub = root / "usr/lib/grub/i386-pc"
    runner.run(
        [
            "chroot",
            str(root),
            "grub-mkimage",
            "-O",
            "i386-pc",
            "-o",
            "/boot/grub/core.img",
            "-p",
            "(hd0,msdos1)/boot/grub",
            *GRUB_MODULES,
        ],
    )
    raw = work / "disk.raw"
    with raw.open("wb") as disk:
        disk.truncate(DISK_MIB * 2**20)
    layout = work / "partitions"
    layout.write_text(f"label: dos\nstart={FIRST_SECTOR}, type=83, bootable\n")
    with layout.open() as script:
        subprocess.run(["sfdisk", "--quiet", str(raw)], stdin=script, check=True)
    configuration = work / "mke2fs.conf"
    configuration.write_text(MKE2FS)
    offset = FIRST_SECTOR * SECTOR
    runner.run(
        [
            "mkfs.ext4",
            "-q",
            "-F",
            "-L",
            LABEL,
            "-m",
            "1",
            "-d",
            str(root),
            "-E",
            f"offset={offset},lazy_itable_init=1,lazy_journal_init=1",
            str(raw),
            f"{DISK_MIB - offset // 2**20}M",
        ],
        {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MKE2FS_CONFIG": str(configuration)},
    )
    with raw.open("r+b") as disk:
        # The first 440 bytes are code; the disk's signature and the partition table follow.
        disk.write((grub / "boot.img").read_bytes()[:440])
        disk.seek(SECTOR)
        disk.write((root / "boot/grub/core.img").read_bytes())
    runner.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(work / "disk.qcow2")]
    )
    raw.unlink()


def _link_target(root: Path, name: str) -> Path:
    """The target of the link to the newest kernel or initrd, as a path on this machine."""
    link = next(link for link in (root / name, root / "boot" / name) if link.is_symlink())
    return link.parent / link.readlink()
