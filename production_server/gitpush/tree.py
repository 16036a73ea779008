"""Finds what a pushed tree brings: a model, or code. Decides from names, modes and sizes alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from production_server.errors import PushError
from production_server.gitpush.layout import MB, MOST_BYTES

FILES = ("100644", "100755")
NOT_TAKEN = {"120000": "a symbolic link", "160000": "a submodule"}
MOST_FILES = 20_000
CODE = "production_server"
VERSION = ("card.json", "model.keras")
PAIR = ("model.json", "model.h5")
FEATURES = ("features.toml", "features.json")
DOCUMENTED = "See docs/git-push.md for what a push may contain."


class Kind(StrEnum):
    MODEL = "model"
    CODE = "code"


@dataclass(frozen=True)
class Entry:
    """A line of `git ls-tree -r -l`."""

    mode: str
    blob: str
    size: int
    path: PurePosixPath


@dataclass(frozen=True)
class Parcel:
    """The files that go to the service, with their names there, and where they are in the tree."""

    kind: Kind
    place: str
    files: tuple[tuple[str, Entry], ...]

    @property
    def size(self) -> int:
        return sum(entry.size for _, entry in self.files)


def read_entries(listing: bytes) -> list[Entry]:
    """The entries that `git ls-tree -r -l -z` printed."""
    entries = []
    for line in listing.split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        mode, _kind, blob, size = about.decode("ascii").split()
        place = PurePosixPath(path.decode("utf-8", "replace"))
        entries.append(Entry(mode, blob, 0 if size == "-" else int(size), place))
    return entries


def find_parcel(entries: Sequence[Entry]) -> Parcel:
    """What is to go live. Raises PushError if that is nothing, too much, or not clear."""
    _refuse_links(entries)
    folders: dict[PurePosixPath, dict[str, Entry]] = {}
    for entry in entries:
        if entry.path.parts[0] != CODE:
            folders.setdefault(entry.path.parent, {})[entry.path.name] = entry
    models = [found for folder, files in folders.items() if (found := _model(folder, files))]
    if len(models) > 1:
        places = ", ".join(sorted(model.place for model in models))
        raise PushError(
            f"the tree has {len(models)} models: {places}", "Keep one of them, and commit that."
        )
    parcel = models[0] if models else _code(entries)
    if parcel.size > MOST_BYTES:
        raise PushError(
            f"{parcel.place} has {parcel.size / MB:,.0f} MB; a push may bring {MOST_BYTES // MB}",
            "Send a larger model with `stackserve server models import` on the server.",
        )
    return parcel


def _refuse_links(entries: Sequence[Entry]) -> None:
    if len(entries) > MOST_FILES:
        raise PushError(
            f"the tree has {len(entries):,} files; a push may have {MOST_FILES:,}",
            "Push a repository with the model alone. Data does not belong in it.",
        )
    for entry in entries:
        if entry.mode not in FILES:
            what = NOT_TAKEN.get(entry.mode, "no ordinary file")
            raise PushError(
                f"{entry.path} is {what}", "Commit the file itself in its place, or remove it."
            )


def _model(folder: PurePosixPath, files: dict[str, Entry]) -> Parcel | None:
    """The model in this folder, if there is one."""
    if "card.json" in files or "model.keras" in files:
        _refuse_half(folder, VERSION, files)
        return _parcel(folder, [(f"model/{name}", files[name]) for name in VERSION])
    if any(name in files for name in PAIR):
        _refuse_half(folder, PAIR, files)
        described = [name for name in FEATURES if name in files]
        if len(described) > 1:
            raise PushError(
                f"{folder} has both {' and '.join(described)}", "Keep one features file."
            )
        return _parcel(folder, [(name, files[name]) for name in (*PAIR, *described)])
    return None


def _refuse_half(folder: PurePosixPath, names: Iterable[str], files: dict[str, Entry]) -> None:
    missing = [name for name in names if name not in files]
    if missing:
        there = next(name for name in names if name in files)
        raise PushError(
            f"{folder / there} has no {missing[0]} beside it",
            f"Commit {' and '.join(names)} in one folder.",
        )


def _parcel(folder: PurePosixPath, files: list[tuple[str, Entry]]) -> Parcel:
    place = "the top folder" if folder == PurePosixPath() else f"{folder}/"
    return Parcel(Kind.MODEL, place, tuple(files))


def _code(entries: Sequence[Entry]) -> Parcel:
    """The code, with the files that the launcher would send."""
    files = tuple(
        (str(entry.path), entry)
        for entry in sorted(entries, key=lambda entry: entry.path)
        if entry.path.parts[0] == CODE and _is_code(entry.path)
    )
    if f"{CODE}/__main__.py" not in [name for name, _ in files]:
        raise PushError(
            "the tree has no model and no code",
            "Commit a folder with card.json and model.keras, model.json with model.h5, or "
            f"production_server/. {DOCUMENTED}",
        )
    return Parcel(Kind.CODE, f"{CODE}/", files)


def _is_code(path: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.suffix != ".pyc" and "__pycache__" not in path.parts
