"""The secrets of a service in containers."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from production_server import settings
from production_server.containers import make_secrets


def test_both_sides_get_the_same_password(tmp_path: Path) -> None:
    make_secrets.main(tmp_path)
    url = urlsplit((tmp_path / make_secrets.URL).read_text())
    account = dict(
        line.split(" = ") for line in (tmp_path / make_secrets.BROKER).read_text().splitlines()
    )
    assert url.password == account["default_pass"]
    assert len(url.password) > 40
    assert (url.username, url.hostname, url.path) == ("stackserve", "rabbitmq", "/stackserve")
    assert account["default_user_tags.administrator"] == "false"


def test_only_owner_and_group_may_read_them(tmp_path: Path) -> None:
    make_secrets.main(tmp_path)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o440}


def test_a_second_start_keeps_them(tmp_path: Path) -> None:
    make_secrets.main(tmp_path)
    before = (tmp_path / make_secrets.URL).read_text()
    make_secrets.main(tmp_path)
    assert (tmp_path / make_secrets.URL).read_text() == before


def test_a_start_that_was_cut_off_is_made_up_for(tmp_path: Path) -> None:
    make_secrets.main(tmp_path)
    (tmp_path / make_secrets.URL).unlink()
    (tmp_path / "stackserve_broker_url.fresh").write_text("half")
    make_secrets.main(tmp_path)
    assert (
        urlsplit((tmp_path / make_secrets.URL).read_text()).password
        in (tmp_path / make_secrets.BROKER).read_text()
    )


def test_the_service_reads_settings_from_such_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_secrets.main(tmp_path)
    monkeypatch.setattr(settings, "SECRETS", tmp_path)
    monkeypatch.delenv("STACKSERVE_BROKER_URL", raising=False)
    assert settings.load_settings().broker_url == (tmp_path / make_secrets.URL).read_text()
    # What is said at the start comes first.
    monkeypatch.setenv("STACKSERVE_BROKER_URL", "amqp://other//")
    assert settings.load_settings().broker_url == "amqp://other//"


def test_the_database_has_a_password_that_stays(tmp_path: Path) -> None:
    make_secrets.main(tmp_path, "postgres")
    url = (tmp_path / "stackserve_store_url").read_text()
    password = (tmp_path / "postgres_password").read_text()
    assert urlsplit(url).password == password and len(password) > 30
    assert stat.S_IMODE((tmp_path / "postgres_password").stat().st_mode) == 0o440
    # With the jobs in SQLite again, the service must not look for PostgreSQL.
    make_secrets.main(tmp_path)
    assert not (tmp_path / "stackserve_store_url").exists()
    make_secrets.main(tmp_path, "postgres")
    assert (tmp_path / "stackserve_store_url").read_text() == url
