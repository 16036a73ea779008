"""What the proxy's start shows on the console, and what a new server's proxy waits for."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from openstack_client.watch import console
from openstack_client.watch.trust import fingerprint_of
from production_server.local.rabbitmq import free_port
from production_server.proxy import certificates
from tests.unit.cloud_init.steps import load


@pytest.fixture
def announce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    program = load("steps/announce.py")
    monkeypatch.setattr(program, "CONSOLE", tmp_path / "console")
    monkeypatch.setattr(program, "PAUSE", 0.01)
    monkeypatch.setenv("STACKSERVE_TLS_HOME", str(tmp_path))
    monkeypatch.setenv("STACKSERVE_TLS_PORT", str(free_port()))
    return program


def shown(folder: Path) -> str:
    file = folder / "console"
    return console.authority(file.read_text()) if file.exists() else ""


def test_the_launcher_reads_what_it_announces(announce: Any, tmp_path: Path) -> None:
    own = certificates.own(tmp_path, ["192.0.2.1"])
    assert own.authority is not None
    with socket.create_server(("127.0.0.1", int(os.environ["STACKSERVE_TLS_PORT"]))):
        announce.main()
    assert shown(tmp_path) == fingerprint_of(own.authority.read_text())


def test_it_waits_until_the_proxy_listens(announce: Any, tmp_path: Path) -> None:
    """Until then, the proxy may still make a new certificate."""
    certificates.own(tmp_path, ["192.0.2.1"])
    running = threading.Thread(target=announce.main)
    running.start()
    time.sleep(0.3)
    assert shown(tmp_path) == ""
    with socket.create_server(("127.0.0.1", int(os.environ["STACKSERVE_TLS_PORT"]))):
        running.join(20)
    assert len(shown(tmp_path)) == 64


def test_a_proxy_that_does_not_listen_announces_nothing(
    announce: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates.own(tmp_path, ["192.0.2.1"])
    monkeypatch.setattr(announce, "LISTENS_WITHIN", 0.1)
    with pytest.raises(SystemExit, match="nothing was announced"):
        announce.main()
    assert shown(tmp_path) == ""


def test_with_a_certificate_from_elsewhere_there_is_nothing_to_announce(
    announce: Any, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", int(os.environ["STACKSERVE_TLS_PORT"]))):
        announce.main()
    assert not (tmp_path / "console").exists()


def test_a_proxy_that_was_broken_into_cannot_have_other_files_read(
    announce: Any, tmp_path: Path
) -> None:
    """It may write its folder, and this program is root."""
    (tmp_path / "shadow").write_text("root:x")
    (tmp_path / "link").symlink_to(tmp_path / "shadow")
    with pytest.raises(OSError, match="symbolic links"):
        announce.fingerprint(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "shadow"):
        with pytest.raises(ValueError, match="Invalid PEM"):
            announce.fingerprint(tmp_path / name)


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    program = load("steps/proxy.py")
    monkeypatch.setattr(program, "CERTIFICATE", tmp_path / "certificate.pem")
    monkeypatch.setattr(program, "PAUSE", 0.01)
    return program


def test_the_step_waits_for_the_certificate(
    proxy: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = threading.Thread(target=proxy.wait_for_certificate)
    running.start()
    time.sleep(0.2)
    assert running.is_alive()
    (tmp_path / "certificate.pem").write_text(hashlib.sha256().hexdigest())
    running.join(20)
    assert not running.is_alive()
    assert "waiting for the launcher to deliver the certificate" in capsys.readouterr().out
    proxy.wait_for_certificate()
    assert capsys.readouterr().out == ""


def test_it_gives_up_with_what_to_do(proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "DELIVERED_WITHIN", 0.05)
    with pytest.raises(SystemExit, match="run `deploy --tls CERT,KEY` again"):
        proxy.wait_for_certificate()
