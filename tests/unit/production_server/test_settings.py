"""Settings come from the environment, flags override them, and errors name the variable."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.errors import SettingsError
from production_server.settings import half_the_cores, load_settings


def test_flags_override_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKSERVE_PORT", "6000")
    assert load_settings().port == 6000
    assert load_settings(port=None).port == 6000
    assert load_settings(port=7000).port == 7000


def test_the_error_names_the_invalid_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKSERVE_PORT", "many")
    with pytest.raises(SettingsError, match="STACKSERVE_PORT") as caught:
        load_settings()
    assert "docs/settings.md" in caught.value.remedy


def test_the_home_holds_models_and_jobs(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    assert settings.registry_path == tmp_path / "models"
    assert settings.store == f"sqlite:///{tmp_path}/jobs.sqlite3"


def test_a_child_process_gets_the_same_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = load_settings(home=tmp_path, broker_url="amqp://u:p@127.0.0.1//", workers=3)
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == given


def test_the_number_of_processes_depends_on_the_cores() -> None:
    assert [half_the_cores(cores) for cores in (1, 2, 4, 64)] == [1, 1, 2, 4]
