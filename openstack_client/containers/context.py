"""What an image is built from: the code, one model, and what the Dockerfile needs besides.

Docker gets it as an archive, so an image can be built without a checkout, and nothing else that
lies in a folder gets into it.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from openstack_client import __version__
from openstack_client.errors import SettingsError
from openstack_client.names import listed
from openstack_client.places import SERVER_COMMAND, TEMPLATES
from openstack_client.userdata import CarriedFile, code_hash, read_model
from openstack_client.userdata.payload import SHIPPED, with_model

DOCKERFILE = "production_server/Dockerfile"
# The same ones as in .dockerignore, which is for builds from a checkout.
STEPS = ("files/fetch_uv.py", "files/uv.txt", "files/steps/warm.py")


@dataclass(frozen=True)
class Context:
    """The files, and what the image says about itself."""

    files: tuple[CarriedFile, ...]
    code: str
    model: str
    model_sha256: str

    @property
    def labels(self) -> dict[str, str]:
        return self._common | {
            "org.opencontainers.image.title": "Stackserve",
            "stackserve.model": self.model,
            "stackserve.model.sha256": self.model_sha256,
        }

    def labels_of(self, program: str) -> dict[str, str]:
        """The labels of an image that has another program."""
        return self._common | {"org.opencontainers.image.title": f"{program} for Stackserve"}

    @property
    def _common(self) -> dict[str, str]:
        return {"org.opencontainers.image.version": __version__, "stackserve.code": self.code}


def choose(word: str | None, models: Path, code: Sequence[CarriedFile]) -> tuple[CarriedFile, ...]:
    """The files of the model that is named by path or version; by default, the shipped one."""
    if word is None:
        return _shipped(code, _versions(code)[-1])
    path = Path(word).expanduser()
    if path.exists():
        return read_model(path)
    if word in _versions(code):
        return _shipped(code, word)
    if (models / word / "card.json").is_file():
        return read_model(models / word)
    held = [card.parent.name for card in models.glob("*/card.json")]
    raise SettingsError(
        f"--model: {word!r} is neither a file nor a version of a model.",
        f"Available: {listed([*_versions(code), *held])}. `{SERVER_COMMAND} models list` lists "
        f"those in {models}.",
    )


def _versions(code: Sequence[CarriedFile]) -> list[str]:
    """The versions that come with the code, oldest first."""
    inside = [file.path.removeprefix(f"{SHIPPED}/") for file in code if "/shipped/" in file.path]
    named = {path.partition("/")[0] for path in inside if path.endswith("/card.json")}
    return sorted(named, key=lambda name: (int(name.rpartition("-")[2]), name))


def _shipped(code: Sequence[CarriedFile], version: str) -> tuple[CarriedFile, ...]:
    return tuple(
        CarriedFile(path=file.path.removeprefix(f"{SHIPPED}/"), content=file.content)
        for file in code
        if file.path.startswith(f"{SHIPPED}/{version}/")
    )


def gather(code: tuple[CarriedFile, ...], model: tuple[CarriedFile, ...]) -> Context:
    """What to build: this code, with this model and no other."""
    steps = (
        CarriedFile(path=f"cloud-init/{name}", content=(TEMPLATES / name).read_bytes())
        for name in STEPS
    )
    content = next(file.content for file in model if file.path.endswith("/model.keras"))
    return Context(
        files=(*with_model(code, model), *steps),
        code=code_hash(code),
        model=model[0].path.partition("/")[0],
        model_sha256=hashlib.sha256(content).hexdigest(),
    )


def pack(files: Sequence[CarriedFile]) -> bytes:
    """An archive that depends only on names and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in sorted(files, key=lambda file: file.path):
            entry = tarfile.TarInfo(file.path)
            entry.size = len(file.content)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()
