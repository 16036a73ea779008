"""Exchange the contents of a folder that cannot be renamed: in a container, it is a volume.

The old entries are kept in a folder inside. Its name says how far this is, so that after a crash it
can be undone:

    .before-5.part    holds some of the old entries; the others are where they were
    .before-5         holds all old entries; all others are new
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from production_server.model.durable import sync

CANNOT_RENAME = (errno.EBUSY, errno.EXDEV)
PART = ".part"
_COMING = ".coming-"
_KEPT = re.compile(r"\.before-(\d+)(\.part)?")


def exchange(folder: Path, fresh: Path, number: int) -> None:
    """Put copies of what `fresh` holds into the folder, and keep what it held."""
    for left in folder.glob(f"{_COMING}*"):
        shutil.rmtree(left)  # from a process that was killed
    coming = folder / f"{_COMING}{number}"
    try:
        shutil.copytree(fresh, coming)
        for path in (*coming.rglob("*"), coming):
            sync(path)
    except BaseException:
        shutil.rmtree(coming, ignore_errors=True)
        raise
    part = folder / f".before-{number}{PART}"
    part.mkdir()
    for entry in list(_entries(folder)):
        entry.rename(part / entry.name)
    _sync(part, folder)
    part.rename(part.with_suffix(""))
    sync(folder)
    for entry in list(coming.iterdir()):
        entry.rename(folder / entry.name)
    coming.rmdir()
    sync(folder)


def undo(folder: Path, kept: Path) -> None:
    """Bring the old entries back. This may be stopped anywhere, and started again."""
    if kept.suffix != PART:
        for entry in list(_entries(folder)):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        sync(folder)
        kept = kept.rename(kept.with_name(kept.name + PART))
        sync(folder)
    for entry in list(kept.iterdir()):
        entry.rename(folder / entry.name)
    _sync(folder, kept)
    kept.rmdir()
    for left in folder.glob(f"{_COMING}*"):
        shutil.rmtree(left)
    sync(folder)


def kept_in(folder: Path) -> Iterator[Path]:
    """What an exchange has kept and nobody has deleted or brought back."""
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if _KEPT.fullmatch(path.name))


def number_of(kept: Path) -> int:
    return int(kept.name.removesuffix(PART).rpartition("-")[2])


def _entries(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if not _KEPT.fullmatch(path.name) and not path.name.startswith(_COMING):
            yield path


def _sync(*folders: Path) -> None:
    for folder in folders:
        sync(folder)
