"""Opens the files of a model made elsewhere: each is checked before anything in it is unpacked.

A small file must not fill the memory or the disk, write elsewhere, or read other files of this
machine. What is refused here is found in the directory of a file, without its contents.
"""

from __future__ import annotations

import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from production_server.errors import ModelError

if TYPE_CHECKING:
    import h5py

MOST_UNPACKED = 2_000_000_000
MOST_CONFIG = 16_000_000
# Weights hardly compress. Below this size, not even zeros do harm.
HARMLESS = 64_000_000
MOST_TIMES = 50
# Keras writes three members, and one for each vocabulary.
MOST_MEMBERS = 1000
MOST_OBJECTS = 100_000
WEIGHTS = "model.weights.h5"
# The record at the end of a ZIP file; APPNOTE.TXT, 4.3.16. Larger directories have another before.
END = struct.Struct("<4s4H2LH")
END_MARK, LARGE_MARK, LARGE_BYTES = b"PK\5\6", b"PK\6\7", 20
MOST_DIRECTORY = 1_000_000
LINK = 0o120000


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A .keras file, once its directory has been checked. Raises ModelError if it is refused."""
    _refuse_directory(path)
    with zipfile.ZipFile(path) as archive:
        _refuse_members(archive, path)
        yield archive


def refuse_weights(archive: zipfile.ZipFile, path: Path) -> None:
    """Check the weights in a .keras file, if it has any. Raises ModelError or OSError."""
    import h5py

    if WEIGHTS not in archive.namelist():
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = archive.extract(WEIGHTS, folder)
        with h5py.File(weights, "r") as file:
            refuse_hdf5(file, path)


def refuse_hdf5(file: h5py.File, path: Path) -> None:
    """Raise ModelError if an HDF5 file leads to other files or would fill the memory."""
    import h5py

    size, unpacked, count = Path(file.filename).stat().st_size, 0, 0

    def look(_: str, found: Any) -> None:
        nonlocal unpacked, count
        count += 1
        if count > MOST_OBJECTS:
            raise _refused(path, f"has more than {MOST_OBJECTS:,} parts")
        if isinstance(found, h5py.Dataset):
            if found.external or found.is_virtual:
                raise _refused(path, f"takes {found.name} from another file")
            unpacked += found.nbytes
            _refuse_size(unpacked, size, path)
        elif isinstance(found, h5py.Group):
            _refuse_links(found, path)

    _refuse_links(file, path)
    # Visits each object once, also if groups contain each other, and follows no other links.
    file.visititems(look)


def _refuse_links(group: h5py.Group, path: Path) -> None:
    import h5py

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise _refused(path, f"contains the link {name[:80]!r}")


def _refuse_directory(path: Path) -> None:
    """Before the directory is read, which takes a kilobyte of memory for each member."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - END.size - LARGE_BYTES))
        tail = file.read()
    last = tail[-END.size :]
    # Its comment, if it has one, could hide another record; Keras writes none.
    if len(last) < END.size or not last.startswith(END_MARK):
        raise zipfile.BadZipFile("it is not a ZIP file, or it is not complete")
    directory = END.unpack(last)[5]
    if LARGE_MARK in tail[: -END.size] or directory > MOST_DIRECTORY:
        raise _refused(path, f"has more than {MOST_MEMBERS:,} members")


def _refuse_members(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise _refused(path, f"has more than {MOST_MEMBERS:,} members")
    if len({member.filename for member in members}) < len(members):
        raise _refused(path, "contains a member twice")
    for member in members:
        parts = PurePosixPath(member.filename).parts
        is_link = member.external_attr >> 16 & 0o170000 == LINK
        if is_link or ".." in parts or parts[:1] == ("/",) or "\\" in member.filename:
            raise _refused(path, f"contains {member.filename[:80]!r}")
    unpacked = sum(member.file_size for member in members)
    _refuse_size(unpacked, path.stat().st_size, path)
    if archive.getinfo("config.json").file_size > MOST_CONFIG:
        raise _refused(path, "has a config.json that is too large")


def _refuse_size(unpacked: int, size: int, path: Path) -> None:
    if unpacked > MOST_UNPACKED or unpacked > max(HARMLESS, MOST_TIMES * size):
        raise ModelError(
            f"{path} unpacks to {unpacked:,} bytes, which is too large",
            f"A model may have up to {MOST_UNPACKED:,} bytes, and {MOST_TIMES} times those of its "
            f"file; its config.json {MOST_CONFIG:,}.",
        )


def _refused(path: Path, what: str) -> ModelError:
    return ModelError(
        f"{path} {what}, which no model needs", "Save the model again with the latest Keras."
    )
