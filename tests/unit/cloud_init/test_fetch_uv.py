"""Fetching uv from its pinned URL or a mirror: fetch_uv.py."""

from __future__ import annotations

import hashlib
import io
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cloud_init.steps import FILES, load

NAME = "uv-1.2.3-py3-none-manylinux_2_17_x86_64.whl"


def wheel() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # A ZipInfo has a fixed time, so that every call returns the same bytes.
        program = zipfile.ZipInfo("uv-1.2.3.data/scripts/uv")
        archive.writestr(program, "#!/bin/sh\necho uv 1.2.3\n")
    return buffer.getvalue()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index with one wheel of uv."""
    (tmp_path / "simple" / "uv").mkdir(parents=True)
    (tmp_path / "simple" / "uv" / "index.html").write_text(f'<a href="../../{NAME}#sha256=0">x</a>')
    (tmp_path / NAME).write_bytes(wheel())
    with HTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    program = load("fetch_uv.py")
    monkeypatch.setattr(program, "PINS", tmp_path / "uv.txt")
    monkeypatch.setattr(program.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(program.time, "sleep", lambda _seconds: None)
    return program


def pin(program: Any, address: str, content: bytes) -> None:
    pin = f"# why\n{address}/{NAME} {hashlib.sha256(content).hexdigest()}\n"
    program.PINS.write_text(pin)


def test_downloads_from_the_pinned_url(program: Any, index: str, tmp_path: Path) -> None:
    pin(program, index, wheel())
    program.main(tmp_path / "uv")
    run = subprocess.run([tmp_path / "uv"], capture_output=True, text=True, check=True)
    assert run.stdout == "uv 1.2.3\n"


def test_downloads_from_a_mirror(
    program: Any, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(program, "https://elsewhere.invalid", wheel())
    monkeypatch.setattr(program, "MIRROR", f"{index}/simple/")
    program.main(tmp_path / "uv")
    assert (tmp_path / "uv").stat().st_mode & 0o111


def test_rejects_a_wheel_with_another_hash(program: Any, index: str, tmp_path: Path) -> None:
    pin(program, index, b"the real one")
    with pytest.raises(SystemExit, match="has SHA-256"):
        program.main(tmp_path / "uv")
    assert not (tmp_path / "uv").exists()


def test_reports_a_mirror_without_the_pinned_version(
    program: Any, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.PINS.write_text("https://x.invalid/uv-9-py3-none-manylinux_x86_64.whl 00\n")
    monkeypatch.setattr(program, "MIRROR", f"{index}/simple/")
    with pytest.raises(SystemExit, match="does not have uv-9"):
        program.main(tmp_path / "uv")


def test_reports_an_unreachable_index(program: Any, tmp_path: Path) -> None:
    pin(program, "http://127.0.0.1:9", wheel())
    with pytest.raises(SystemExit, match=r"cannot reach the package index at 127\.0\.0\.1:9"):
        program.main(tmp_path / "uv")


def test_reports_an_unsupported_processor(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(program, "http://127.0.0.1:9", wheel())
    monkeypatch.setattr(program.platform, "machine", lambda: "riscv64")
    with pytest.raises(SystemExit, match="riscv64"):
        program.main(tmp_path / "uv")


def test_real_pins_are_complete() -> None:
    lines = [
        line for line in (FILES / "uv.txt").read_text().splitlines() if not line.startswith("#")
    ]
    for line in lines:
        address, digest = line.split()
        assert address.startswith("https://files.pythonhosted.org/")
        assert len(bytes.fromhex(digest)) == 32
    assert {line.split()[0].rsplit("_", 1)[1] for line in lines} == {"64.whl", "aarch64.whl"}
