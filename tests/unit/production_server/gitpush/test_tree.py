"""What a pushed tree brings, from names, modes and sizes alone."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from production_server.errors import PushError
from production_server.gitpush.layout import MOST_BYTES
from production_server.gitpush.tree import Entry, Kind, find_parcel, read_entries


def tree(*paths: str, size: int = 10, mode: str = "100644") -> list[Entry]:
    return [Entry(mode, "b" * 40, size, PurePosixPath(path)) for path in paths]


@pytest.mark.parametrize(
    ("paths", "place", "names"),
    [
        (
            ["m/card.json", "m/model.keras", "train.py"],
            "m/",
            ["model/card.json", "model/model.keras"],
        ),
        (["card.json", "model.keras"], "the top folder", ["model/card.json", "model/model.keras"]),
        (["a/b/model.h5", "a/b/model.json"], "a/b/", ["model.json", "model.h5"]),
        (
            ["model.h5", "model.json", "features.toml"],
            "the top folder",
            ["model.json", "model.h5", "features.toml"],
        ),
        # The model that code ships is not the pushed one.
        (
            [
                "m/card.json",
                "m/model.keras",
                "production_server/__main__.py",
                "production_server/shipped/d-1/card.json",
            ],
            "m/",
            ["model/card.json", "model/model.keras"],
        ),
    ],
)
def test_a_model_is_found(paths: list[str], place: str, names: list[str]) -> None:
    found = find_parcel(tree(*paths))
    assert (found.kind, found.place) == (Kind.MODEL, place)
    assert [name for name, _ in found.files] == names


def test_code_is_what_the_launcher_would_send() -> None:
    package = "production_server"
    unused = [
        f"{package}/../x",
        f"{package}/a.pyc",
        f"{package}/.git/x",
        f"{package}/__pycache__/a",
        "README.md",
    ]
    sent = [f"{package}/__main__.py", f"{package}/shipped/d-1/card.json"]
    found = find_parcel(tree(*unused, *sent))
    assert found.kind is Kind.CODE
    assert [name for name, _ in found.files] == sent


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (tree(), "no model and no code"),
        (tree("README.md"), "no model and no code"),
        (tree("production_server/web.py"), "no model and no code"),
        (tree("m/card.json"), "m/card.json has no model.keras"),
        (tree("m/model.keras"), "m/model.keras has no card.json"),
        (tree("model.json"), "model.json has no model.h5"),
        (tree("m/model.h5"), "m/model.h5 has no model.json"),
        (tree("card.json", "model.keras", "m/model.h5", "m/model.json"), "2 models: m/, the top"),
        (
            tree("model.h5", "model.json", "features.toml", "features.json"),
            "both features.toml and features.json",
        ),
        (tree("card.json", "model.keras", size=MOST_BYTES), "512 MB; a push may bring 256"),
        (tree("card.json", mode="120000"), "card.json is a symbolic link"),
        (tree("lib", mode="160000"), "lib is a submodule"),
        (tree("odd", mode="100000"), "odd is no ordinary file"),
        (tree(*map(str, range(20_001))), "20,001 files"),
    ],
)
def test_what_is_not_clear_is_refused(entries: list[Entry], reason: str) -> None:
    with pytest.raises(PushError) as refused:
        find_parcel(entries)
    assert reason in str(refused.value)
    assert refused.value.remedy


def test_a_listing_of_git_is_read_whatever_the_names() -> None:
    blob = "a" * 40
    listing = (
        f"100644 blob {blob}      12\ta b\tc\nd\x00160000 commit {blob}       -\tlib\0".encode()
        + b"100644 blob "
        + blob.encode()
        + b"       3\t\xff\0"
    )
    assert [(entry.size, str(entry.path)) for entry in read_entries(listing)] == [
        (12, "a b\tc\nd"),
        (0, "lib"),
        (3, "�"),
    ]
