"""Collect the file system of the service's image: Python, its libraries, the service, and no more.

This runs in the image's build, with the Python of the base. It copies what is needed into another
folder, at the same paths, so any base with Python serves. The result has no shell, no package
manager and no program but Python.
"""

from __future__ import annotations

import compileall
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from py_compile import PycInvalidationMode

SERVICE = Path("/opt/stackserve")
HOME = "/var/lib/stackserve"
ACCOUNT = 10001
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
UNUSED = shutil.ignore_patterns("__pycache__", "tests", "*.c", "*.pyx", "*.pyi", "*.a", "*.h")
UNUSED_IN_LIBRARY = shutil.ignore_patterns(
    "__pycache__",
    "config-3*",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tkinter",
    "turtledemo",
)
LINKED = re.compile(r"(/\S+) \(0x")


def main(target: Path) -> None:
    copy = Copy(target)
    copy.folder(SERVICE, UNUSED)
    copy.folder(Path(sysconfig.get_path("stdlib")), UNUSED_IN_LIBRARY)
    copy.file(Path(sys.executable))
    copy.file(AUTHORITIES)
    for path in needed_by([Path(sys.executable), *target.rglob("*.so*")]):
        copy.file(path)
    make_account(target)
    strip(target)
    compile_all(target)


class Copy:
    """Copies files to the same paths below `target`, with every link on the way to them."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def file(self, path: Path) -> None:
        place = self._place(path)
        if path.is_symlink():
            self._link(path)
            self.file(path.parent / path.readlink())
        elif not place.exists():
            shutil.copy2(path, place)

    def folder(self, path: Path, ignore: object) -> None:
        shutil.copytree(path, self._place(path), symlinks=True, ignore=ignore)  # type: ignore[arg-type]

    def _place(self, path: Path) -> Path:
        for folder in reversed(path.parents):
            if folder.is_symlink():
                self._link(folder)
        return self._mirrored(path)

    def _link(self, link: Path) -> None:
        place = self._mirrored(link)
        if not place.is_symlink():
            place.symlink_to(link.readlink())

    def _mirrored(self, path: Path) -> Path:
        """Where the file of this name belongs, in its real folder below the target."""
        folder = self._target / path.parent.resolve().relative_to("/")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / path.name


def needed_by(files: Iterable[Path]) -> list[Path]:
    """The system's libraries that these programs and libraries load."""
    found: set[str] = set()
    for file in files:
        output = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout
        found.update(LINKED.findall(output))
    return [Path(path) for path in sorted(found) if not Path(path).is_relative_to("/collected")]


def strip(target: Path) -> None:
    """Remove symbols that only debuggers need: a third of jaxlib's library."""
    for library in target.rglob("*.so"):
        # What auditwheel has changed would break.
        if not library.is_symlink() and not library.parent.name.endswith(".libs"):
            subprocess.run(["strip", "--strip-unneeded", library], check=True)


def compile_all(target: Path) -> None:
    """Compile all Python, as a read-only image keeps nothing that a start compiles.

    Of packages, only bytecode stays: that saves 70 MB. It holds no times, so two builds are equal.
    """
    app = target / SERVICE.relative_to("/") / "app"
    for source in target.rglob("*.py"):
        ours = source.is_relative_to(app)
        done = compileall.compile_file(
            source,
            quiet=2,
            legacy=not ours,
            stripdir=str(target),
            prependdir="/",
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )
        if done and not ours:
            source.unlink()


def make_account(target: Path) -> None:
    """One account, without a shell, and the folders that every container has."""
    home = f"stackserve:x:{ACCOUNT}:{ACCOUNT}:Stackserve:{HOME}:/sbin/nologin\n"
    (target / "etc" / "passwd").write_text(f"root:x:0:0:root:/:/sbin/nologin\n{home}")
    (target / "etc" / "group").write_text(f"root:x:0:\nstackserve:x:{ACCOUNT}:\n")
    (target / "tmp").mkdir(mode=0o1777)
    (target / "tmp").chmod(0o1777)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
