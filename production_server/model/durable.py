"""Files that survive a crash: written to the disk before they appear, and checked when read."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's list of names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_sealed(path: Path, data: bytes) -> None:
    """Write `data` behind its SHA-256. The file appears complete or not at all."""
    write_whole(path, hashlib.sha256(data).digest() + data)


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file with these permissions. It appears complete or not at all."""
    # Random, since containers that share a folder number their processes alike.
    fresh = path.with_name(f".fresh-{secrets.token_hex(8)}")
    try:
        fresh.touch(mode)
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync(path.parent)


def read_sealed(path: Path) -> bytes | None:
    """What `write_sealed` wrote; None if the file is missing, unreadable or damaged."""
    size = hashlib.sha256().digest_size
    try:
        content = path.read_bytes()
    except OSError:
        return None
    data = content[size:]
    return data if hashlib.sha256(data).digest() == content[:size] else None
