"""Exports a version to a .tar file, for another registry or a server, and unpacks it again.

Unpacking accepts only the two files of a version, by their exact names. An archive cannot choose
where its files are written.
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
    """Write a version's folder to a .tar file. The same version always gives the same bytes."""
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
    """Unpack an exported version into `folder`, and return `folder`."""
    try:
        with tarfile.open(source) as tar:
            for member in tar:
                if member.isdir():
                    continue
                _unpack_member(tar, member, source, folder)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ModelError(
            f"cannot read {source} as an exported model: {error}", "Export the version again."
        ) from error
    for name in (CARD_FILE, MODEL_FILE):
        if not (folder / name).exists():
            raise ModelError(f"{source} contains no {name}", "Export the version again.")
    return folder


def _unpack_member(
    tar: tarfile.TarFile, member: tarfile.TarInfo, source: Path, folder: Path
) -> None:
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
            f"{source} contains {member.name!r}, which does not belong in an exported model",
            "An export contains only VERSION/card.json and VERSION/model.keras.",
        )
    if member.size > _MOST_BYTES:
        raise ModelError(
            f"{source}: {member.name} is larger than {_MOST_BYTES} bytes",
            "Import the model from its .keras file instead.",
        )
    data = tar.extractfile(member)
    assert data is not None  # not for a regular file
    with data, (folder / name).open("wb") as out:
        while block := data.read(1 << 20):
            out.write(block)
