"""Where the service keeps its state, from a checkout and from an installed wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server import settings
from production_server.places import CHECKOUT, IMPORT_FOLDER
from production_server.settings import default_home, load_settings

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CHECKOUT", None)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)


def test_a_checkout_keeps_its_state_in_its_own_folder() -> None:
    assert CHECKOUT == IMPORT_FOLDER == ROOT
    assert default_home() == ROOT / ".stackserve"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("data", "home"),
    [
        (None, "/home/ada/.local/share/stackserve"),
        ("", "/home/ada/.local/share/stackserve"),
        ("relative", "/home/ada/.local/share/stackserve"),
        ("/srv/data", "/srv/data/stackserve"),
    ],
)
def test_an_installed_package_keeps_its_state_with_the_users_data(
    data: str | None, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if data is not None:
        monkeypatch.setenv("XDG_DATA_HOME", data)
    assert default_home() == Path(home)


def test_a_relative_home_is_the_same_folder_for_child_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKSERVE_HOME", "state")
    monkeypatch.setenv("STACKSERVE_REGISTRY", "kept/models")
    child = load_settings().environment()
    assert child["STACKSERVE_HOME"] == str(tmp_path / "state")
    assert child["STACKSERVE_REGISTRY"] == str(tmp_path / "kept" / "models")
