"""The files of the version that `models push` sends, and its name."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from openstack_client.artifacts.index import MOST_BYTES
from openstack_client.deploy.model_file import FEATURES, PARTS, VERSION, WAYS, packed
from openstack_client.errors import SettingsError


@contextmanager
def unpacked(given: str, features: Path | None) -> Iterator[dict[str, Path]]:
    """The files by name, in a temporary folder."""
    with (
        tempfile.TemporaryDirectory(prefix="stackserve-push-") as folder,
        packed(given, features) as archive,
    ):
        if archive is None:
            raise SettingsError(f"The registry of this machine has no {given}.", WAYS)
        yield _extract(archive, given, Path(folder))


def name_of(files: dict[str, Path], given: str | None) -> str:
    """The version's name: as given, or from its card. Raises SettingsError."""
    name = given or (_card_name(files["card.json"]) if "card.json" in files else "")
    if not name:
        raise SettingsError("This model has no version name.", "Add --as VERSION: flowers-2.")
    if not VERSION.fullmatch(name):
        raise SettingsError(f"{name!r} is no version name.", "Write a name and a number: flowers-2")
    return name


def _card_name(card: Path) -> str:
    try:
        content = json.loads(card.read_bytes())
    except ValueError as error:
        raise SettingsError(
            f"card.json is no JSON: {error}.", "Export the version again."
        ) from error
    found = content.get("version") if isinstance(content, dict) else None
    return found if isinstance(found, str) else ""


def _extract(archive: IO[bytes], given: str, folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    try:
        with tarfile.open(fileobj=archive, mode="r:") as opened:
            for member in opened:
                name = Path(member.name).name
                source = opened.extractfile(member) if member.isreg() else None
                if member.isdir():
                    continue
                if source is None or name not in (*PARTS, *FEATURES) or name in files:
                    raise SettingsError(f"{given} has a member {member.name!r} too many.", WAYS)
                if member.size > MOST_BYTES:
                    raise SettingsError(f"{member.name} in {given} is too large.", WAYS)
                files[name] = folder / name
                with files[name].open("wb") as out:
                    shutil.copyfileobj(source, out)
    except (tarfile.TarError, EOFError) as error:
        raise SettingsError(f"{given} is no complete .tar: {error}.", WAYS) from error
    if not files:
        raise SettingsError(f"{given} holds no model.", WAYS)
    return files
