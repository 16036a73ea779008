"""The payload delivered to the VM: the code and the model in a reproducible archive.

Even compressed, the code is twice as large as Nova allows for user data. So the user data only
holds the archive's SHA-256, and the VM takes exactly that archive, over ssh (watch/delivery.py),
while it installs its packages.
"""

from __future__ import annotations

import functools
import hashlib
import io
import lzma
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from openstack_client.errors import PreflightError
from openstack_client.places import SERVER_COMMAND
from openstack_client.userdata.context import CarriedFile, UserDataContext

PACKAGE = "production_server"
SHIPPED = f"{PACKAGE}/shipped"
LOCK = f"{PACKAGE}/requirements.txt"
MODEL_FILES = ("card.json", "model.keras")

# Tuned for source text: four bits of literal context, no alignment. About 2% smaller than -9e.
XZ_FILTERS = [
    {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}
]


def read_code(folder: Path) -> tuple[CarriedFile, ...]:
    """Read all files of the production_server package in this folder."""
    package = folder / PACKAGE
    if not (package / "__main__.py").is_file():
        raise PreflightError(
            f"There is no {PACKAGE}/__main__.py in {folder}.",
            "Reinstall Stackserve, or use a complete checkout.",
        )
    return tuple(
        CarriedFile(path=path.relative_to(folder).as_posix(), content=path.read_bytes())
        for path in sorted(package.rglob("*"))
        if path.is_file() and not _is_excluded(path.relative_to(folder))
    )


def _is_excluded(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    unused = path.suffix == ".pyc" or path.name == "py.typed"
    return hidden or unused or "__pycache__" in path.parts


def read_model(path: Path) -> tuple[CarriedFile, ...]:
    """Read the model and card from a version folder of the registry, or from its .tar."""
    if path.is_dir():
        return _read_folder(path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        except tarfile.TarError as error:
            raise PreflightError(
                f"{path} is neither a model folder nor a model archive ({error}).",
                f"Create an archive with `{SERVER_COMMAND} models export`.",
            ) from error
        cards = sorted(Path(folder).rglob("card.json"))
        return _read_folder(cards[0].parent if cards else Path(folder))


def _read_folder(folder: Path) -> tuple[CarriedFile, ...]:
    missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
    if missing:
        raise PreflightError(
            f"{folder} is not a model folder: {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing.",
            f"Use a version folder; `{SERVER_COMMAND} models list` lists them.",
        )
    return tuple(
        CarriedFile(path=f"{folder.name}/{name}", content=(folder / name).read_bytes())
        for name in MODEL_FILES
    )


def code_hash(files: Iterable[CarriedFile]) -> str:
    """A short hash of the code, independent of the order of the files."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        digest.update(f"{file.path}\0{len(file.content)}\0".encode())
        digest.update(file.content)
    return digest.hexdigest()[:16]


def lock_file(files: Iterable[CarriedFile]) -> str:
    """The locked dependencies. A baked image must contain the same ones."""
    for file in files:
        if file.path == LOCK:
            return file.content.decode("utf-8")
    raise PreflightError(f"{LOCK} is missing.", "Run ./scripts/lock to create it.")


def carried(context: UserDataContext) -> tuple[CarriedFile, ...]:
    """The files for this VM, sorted, with the chosen model instead of the shipped one."""
    return with_model(context.code, context.model)


def with_model(
    code: Iterable[CarriedFile], model: tuple[CarriedFile, ...] | None
) -> tuple[CarriedFile, ...]:
    """The code, sorted, with this model, if any, instead of the shipped ones."""
    files = [file for file in code if not model or not _is_under(file, SHIPPED)]
    for file in model or ():
        files.append(CarriedFile(path=f"{SHIPPED}/{file.path}", content=file.content))
    return tuple(sorted(files, key=lambda file: file.path))


def _is_under(file: CarriedFile, folder: str) -> bool:
    return file.path.startswith(f"{folder}/") and file.path != f"{folder}/__init__.py"


@functools.lru_cache(maxsize=1)
def pack(files: tuple[CarriedFile, ...]) -> bytes:
    """Pack a tar.xz that depends only on names and contents: the same for all servers of a plan."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in files:
            entry = tarfile.TarInfo(file.path)
            entry.size = len(file.content)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(file.content))
    return lzma.compress(buffer.getvalue(), check=lzma.CHECK_CRC32, filters=XZ_FILTERS)
