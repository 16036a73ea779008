"""The model registry: a folder with one subfolder per version, and the name of the active one.

    <registry>/<version>/model.keras, card.json      appears complete, by a rename
    <registry>/active, rollout.json                  see activations.py

Readers need no lock. Writers, in any process, take turns with a lock file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from production_server.errors import RegistryError
from production_server.model.activations import ACTIVE_FILE, read_state, write_active
from production_server.model.card import (
    CARD_FILE,
    MODEL_FILE,
    Card,
    card_text,
    is_version,
    read_card,
    version_name,
    version_number,
)
from production_server.model.durable import sync, write_whole
from production_server.places import COMMAND

SHIPPED = Path(__file__).resolve().parent.parent / "shipped"
# Contains the digest of the shipped version that `serve_shipped` activated last.
_SERVED = ".served"
_LOCK = ".lock"
_SCRATCH = ".scratch-"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_changed(model_file: Path, card: Card) -> str:
    """The file's SHA-256. Raise RegistryError if it is not the one in the card."""
    try:
        found = sha256_of(model_file)
    except OSError as error:
        raise RegistryError(
            f"cannot read the model file of {card.version}: {model_file}: {error.strerror}",
            "A version folder contains model.keras and card.json. Import or train the model again.",
        ) from error
    if found != card.model_sha256:
        raise RegistryError(
            f"the model file of {card.version} is damaged or was changed: {model_file} has "
            f"SHA-256 {found[:12]}..., its card has {card.model_sha256[:12] or 'none'}...",
            "Delete the version, and import or train the model again.",
        )
    return found


class Registry:
    """The versions of models in one folder."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def versions(self) -> list[str]:
        """All versions, sorted by model name and number."""
        if not self.path.is_dir():
            return []
        names = [
            entry.name
            for entry in self.path.iterdir()
            if is_version(entry.name) and (entry / CARD_FILE).exists()
        ]
        return sorted(names, key=lambda name: (version_name(name), version_number(name)))

    def oldest_first(self) -> list[str]:
        """All versions, in the order in which they came here."""
        return sorted(self.versions(), key=lambda one: (self.path / one).stat().st_mtime)

    def active(self) -> str:
        """The active version. This reads one small file, so it can be called often."""
        try:
            version = (self.path / ACTIVE_FILE).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            version = ""
        if not is_version(version):
            raise RegistryError(
                f"no version is active in the registry {self.path}",
                f"Train or import a model, then: {COMMAND} models activate VERSION",
            )
        return version

    def card(self, version: str) -> Card:
        """Read the card of a version."""
        card = read_card(self._folder(version) / CARD_FILE)
        if card.version != version:
            raise RegistryError(
                f"the folder {version} in {self.path} contains the card of {card.version}",
                "Do not rename or copy version folders by hand; import them instead.",
            )
        return card

    def model_path(self, version: str) -> Path:
        """The path of a version's model file."""
        return self._folder(version) / MODEL_FILE

    def checked_model_path(self, version: str) -> Path:
        """The path of a version's model file, after checking its hash against the card."""
        path = self.model_path(version)
        refuse_changed(path, self.card(version))
        return path

    def digest(self, version: str) -> str:
        """Identifies the contents of a version: the SHA-256 of its card, which has the model's."""
        return sha256_of(self._folder(version) / CARD_FILE)

    def holds(self, version: str, digest: str | None = None) -> bool:
        """Whether it has the version, with these contents if they matter."""
        return version in self.versions() and digest in (None, self.digest(version))

    def activate(self, version: str) -> None:
        """Serve this version from now on."""
        with self._writing():
            self.checked_model_path(version)
            self._write_active(version)

    def add(self, card: Card, model_file: Path, *, activate: bool = False) -> Card:
        """Add a model under the next free number of its name, and return its card."""
        with self._writing():
            taken = [version_number(v) for v in self.versions() if version_name(v) == card.name]
            version = f"{card.name}-{max(taken, default=0) + 1}"
            kept = self._place(card, version, model_file)
            if activate:
                self._write_active(version)
            return kept

    def add_folder(self, folder: Path, *, activate: bool = False) -> Card:
        """Add a version folder (model.keras and card.json) of another registry.

        It keeps its version unless another model has it. Then it gets the next free number.
        """
        card = read_card(folder / CARD_FILE)
        model_file = folder / MODEL_FILE
        found = refuse_changed(model_file, card)
        with self._writing():
            held = self.versions()
            if card.version in held and self.card(card.version).model_sha256 == found:
                kept = self.card(card.version)
            elif card.version in held:
                taken = [version_number(v) for v in held if version_name(v) == card.name]
                kept = self._place(card, f"{card.name}-{max(taken) + 1}", model_file)
            else:
                kept = self._place(card, card.version, model_file)
            if activate:
                self._write_active(kept.version)
            return kept

    def receive(self, version: str, digest: str | None, write: Callable[[Path], None]) -> None:
        """Add a version that `write` puts into a folder, in place of another one of that name.

        Only one process at a time writes. The others then find the version here.
        """
        if not is_version(version):  # it becomes the name of a folder
            raise RegistryError(f"{version!r} is not the name of a version")
        with self._writing():
            if self.holds(version, digest):
                return
            with self._scratch() as scratch:
                folder = scratch / version
                folder.mkdir()
                write(folder)
                Registry(scratch).checked_model_path(version)
                for path in (folder / MODEL_FILE, folder / CARD_FILE, folder):
                    sync(path)
                if (self.path / version).exists():
                    (self.path / version).rename(scratch / "replaced")
                folder.rename(self.path / version)
                sync(self.path)

    def delete(self, version: str) -> None:
        """Delete a version, but neither the active one nor one on trial."""
        with self._writing():
            folder = self._folder(version)
            active = self._active_or_none()
            if active == version:
                raise RegistryError(
                    f"cannot delete {version}, because it is active",
                    f"Activate another version first: {COMMAND} models activate VERSION",
                )
            trial = read_state(self.path).on_trial(active)
            if trial is not None and trial.version == version:
                raise RegistryError(
                    f"cannot delete {version}, because it is on trial as a {trial.mode}",
                    f"End that first: {COMMAND} models rollback",
                )
            with self._scratch() as scratch:
                folder.rename(scratch / version)
                sync(self.path)  # or a crash could leave half of the version

    def seed(self, shipped: Path = SHIPPED) -> None:
        """Add the shipped versions to an empty registry, and activate one if none is active."""
        if self.versions() and self._active_or_none():
            return
        with self._writing():
            if not self.versions():
                source = Registry(shipped)
                for version in source.versions():
                    model_file = source.checked_model_path(version)
                    self._place(source.card(version), version, model_file)
            held = self.versions()
            if held and not self._active_or_none():
                self._write_active(held[-1])

    def serve_shipped(self, load: Callable[[str], object], shipped: Path = SHIPPED) -> None:
        """Activate the newest shipped version, whatever the registry has, once it has been loaded.

        So one that does not load never becomes active. This happens only once: afterwards another
        one may be activated. Several processes may share the registry, and start together.
        """
        source = Registry(shipped)
        newest = source.versions()[-1]
        served, digest = self.path / _SERVED, source.digest(newest).encode()
        if served.exists() and served.read_bytes() == digest:
            return
        version = self.add_folder(shipped / newest).version
        load(version)
        with self._writing():
            if not served.exists() or served.read_bytes() != digest:
                self._write_active(version)
                write_whole(served, digest)

    def _active_or_none(self) -> str | None:
        try:
            return self.active()
        except RegistryError:
            return None

    def _folder(self, version: str) -> Path:
        folder = self.path / version
        # A version can come from a request, so check that it is a name and not a path.
        if not is_version(version) or not folder.is_dir():
            known = ", ".join(self.versions()) or "none"
            raise RegistryError(
                f"the registry {self.path} has no version {version!r}",
                f"Its versions: {known}.",
            )
        return folder

    def _place(self, card: Card, version: str, model_file: Path) -> Card:
        kept = card.model_copy(update={"version": version, "model_sha256": sha256_of(model_file)})
        with self._scratch() as scratch:
            folder = scratch / version
            folder.mkdir()
            shutil.copyfile(model_file, folder / MODEL_FILE)
            (folder / CARD_FILE).write_text(card_text(kept), encoding="utf-8")
            for path in (folder / MODEL_FILE, folder / CARD_FILE, folder):
                sync(path)
            folder.rename(self.path / version)
        sync(self.path)
        return kept

    def _write_active(self, version: str) -> None:
        write_active(self.path, version, self._active_or_none(), None)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep every writer out while the block runs."""
        with self._writing():
            yield

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder on the registry's own file system, where renames are atomic."""
        # This process holds the lock, so any scratch folder is left from one that was killed.
        for left in self.path.glob(f"{_SCRATCH}*"):
            shutil.rmtree(left)
        folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=self.path))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RegistryError(
                f"cannot write to the registry {self.path}: {error.strerror}",
                "Correct the folder's permissions, or set STACKSERVE_REGISTRY to another folder.",
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise RegistryError(
                f"cannot change the registry {self.path}: {error.strerror}",
                "Check that the disk has free space and no errors, and try again.",
            ) from error
        finally:
            os.close(lock)
