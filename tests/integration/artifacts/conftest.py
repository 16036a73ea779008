"""Both stores, running, and a version to keep in them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from openstack_client.artifacts.store import Store
from openstack_client.cli.models import open_store
from tests.support import object_stores
from tests.support.object_stores import CONTAINER, Running

Opener = Callable[[], Store]


@pytest.fixture(scope="package")
def running(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Running]]:
    folder = tmp_path_factory.mktemp("stores")
    missing = object_stores.install(folder / "venv")
    if missing:
        refuse = pytest.fail if request.config.getoption("--all") else pytest.skip
        refuse(f"Swift and SeaweedFS cannot be installed: {missing}")
    with ExitStack() as stack:
        programs = folder / "venv" / "bin"
        found = [stack.enter_context(way(programs, folder)) for way in STORES]
        yield {one.kind: one for one in found}


STORES = (object_stores.swift, object_stores.s3)


@pytest.fixture(params=["swift", "s3"])
def place(
    request: pytest.FixtureRequest,
    running: dict[str, Running],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> list[str]:
    """STORE and its flags. The credentials are in the environment; each test has a prefix."""
    store = running[request.param]
    for name in [name for name in os.environ if name.startswith(("OS_", "AWS_"))]:
        monkeypatch.delenv(name)
    for name, value in {**store.variables, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    endpoint = ["--s3-endpoint", store.url] if store.kind == "s3" else []
    return [f"{store.kind}:{CONTAINER}/{tmp_path.name}", *endpoint]


@pytest.fixture
def opener(place: list[str]) -> Opener:
    """Opens the store as the verbs do, with a login of its own."""
    endpoint = place[-1] if len(place) > 1 else None
    return lambda: open_store({"store": place[0], "s3_endpoint": endpoint, "as_json": True})


@pytest.fixture
def store(opener: Opener) -> Store:
    return opener()


def make_version(folder: Path, *, megabytes: int = 20) -> dict[str, Path]:
    """A version with a model of random bytes, in several parts."""
    folder.mkdir()
    (folder / "model.keras").write_bytes(os.urandom(megabytes * 1_000_000))
    (folder / "card.json").write_text(json.dumps({"version": "flowers-2"}))
    return {name: folder / name for name in ("model.keras", "card.json")}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return make_version(tmp_path / "flowers")
