"""models delete refuses a version that unfinished jobs need."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from production_server.cli import group
from production_server.errors import RegistryError
from production_server.jobs.records import Receipt
from production_server.jobs.store import Store
from production_server.model.registry import Registry


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service's folder. Its registry has a version, `toy-1`, that is not active."""
    monkeypatch.setenv("STACKSERVE_HOME", str(tmp_path))
    registry = Registry(tmp_path / "models")
    registry.seed()
    active = registry.active()
    registry.add(registry.card(active).model_copy(update={"name": "toy"}), model(registry))
    return tmp_path


def model(registry: Registry) -> Path:
    return registry.model_path(registry.active())


def delete(*arguments: str) -> str:
    command = ["models", "delete", "toy-1", *arguments]
    return CliRunner().invoke(group, command, catch_exceptions=False, standalone_mode=False).output


def versions(home: Path) -> list[str]:
    return Registry(home / "models").versions()


def accepted(store: Store) -> str:
    job = store.begin("toy-1", {})
    store.stage(job, 0, 1, b"rows")
    store.accept(job, Receipt(1, 1, None, "hash", 9, [], []), 10)
    return job


def test_a_version_that_no_job_needs_is_deleted(home: Path) -> None:
    assert "toy-1 is deleted" in delete()
    assert "toy-1" not in versions(home)
    assert not (home / "jobs.sqlite3").exists()


def test_a_version_that_a_job_needs_is_kept_until_the_job_ends(home: Path) -> None:
    store = Store(f"sqlite:///{home / 'jobs.sqlite3'}")
    job = accepted(store)
    with pytest.raises(RegistryError, match=f"1 unfinished job needs it: {job}") as caught:
        delete()
    assert "DELETE /jobs/ID" in caught.value.remedy
    assert "toy-1" in versions(home)
    store.cancel(job)
    delete()
    assert "toy-1" not in versions(home)
    store.close()


def test_an_upload_that_is_arriving_needs_its_version(home: Path) -> None:
    store = Store(f"sqlite:///{home / 'jobs.sqlite3'}")
    store.begin("toy-1", {})
    with pytest.raises(RegistryError, match="unfinished"):
        delete()
    store.close()


def test_force_deletes_it_anyway(home: Path) -> None:
    store = Store(f"sqlite:///{home / 'jobs.sqlite3'}")
    accepted(store)
    delete("--force")
    assert "toy-1" not in versions(home)
    store.close()


def test_a_store_that_cannot_be_opened_is_reported(home: Path) -> None:
    (home / "jobs.sqlite3").write_bytes(b"this is no database" * 100)
    with pytest.raises(RegistryError, match="cannot check whether") as caught:
        delete()
    assert "--force" in caught.value.remedy
    assert "toy-1" in versions(home)
    delete("--force")
    assert "toy-1" not in versions(home)


def test_another_registry_has_no_jobs(home: Path, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{home / 'jobs.sqlite3'}")
    accepted(store)
    other = Registry(tmp_path / "other")
    other.seed()
    other.add_folder(home / "models" / "toy-1")
    delete("--registry", str(other.path))
    assert "toy-1" not in other.versions()
    store.close()
