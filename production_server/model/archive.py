"""A version as one .tar file: to carry it to another registry or to a server.

Reading takes only the two files of a version, by their exact names: nothing in an archive can
choose where it is written.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath

from production_server.errors import ModelError
from production_server.model.card import CARD_FILE, MODEL_FILE
from production_server.model.registry import Registry

_MOST_BYTES = 2_000_000_000


def export(registry: Registry, version: str, target: Path) -> None:
    """Write a version's folder to a .tar file, the same bytes each time."""
    model_file = registry.checked_model_path(version)
    contents = [(CARD_FILE, model_file.with_name(CARD_FILE)), (MODEL_FILE, model_file)]
    try:
        with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
            for name, path in contents:
                data = path.read_bytes()
                member = tarfile.TarInfo(f"{version}/{name}")
                member.size, member.mode = len(data), 0o644
                tar.addfile(member, io.BytesIO(data))
    except OSError as error:
        raise ModelError(
            f"cannot write {target}: {error.strerror}", "Choose another file with --output."
        ) from error


def unpack(source: Path, folder: Path) -> Path:
    """Put an exported version's two files into `folder`; returns it."""
    try:
        with tarfile.open(source) as tar:
            for member in tar:
                if member.isdir():
                    continue
                _take(tar, member, source, folder)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ModelError(
            f"{source} cannot be read as an exported model: {error}", "Export it again."
        ) from error
    for name in (CARD_FILE, MODEL_FILE):
        if not (folder / name).exists():
            raise ModelError(f"{source} holds no {name}", "Export the version again.")
    return folder


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, source: Path, folder: Path) -> None:
    parts = PurePosixPath(member.name).parts
    name = parts[-1] if parts else ""
    if (
        not member.isreg()
        or name not in (CARD_FILE, MODEL_FILE)
        or len(parts) > 2
        or parts[0] in ("..", "/")
        or (folder / name).exists()
    ):
        raise ModelError(
            f"{source} holds {member.name!r}, which does not belong in an exported model: refused",
            "An export holds VERSION/card.json and VERSION/model.keras, nothing else.",
        )
    if member.size > _MOST_BYTES:
        raise ModelError(
            f"{source}: {member.name} is over {_MOST_BYTES} bytes",
            "Import it from its own .keras file.",
        )
    data = tar.extractfile(member)
    assert data is not None  # a regular file has contents
    with data, (folder / name).open("wb") as out:
        while block := data.read(1 << 20):
            out.write(block)
