"""stackserve-update on a server under load: the real program, processes, RabbitMQ and releases.

A small service manager stands in for systemd.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from production_server.local.rabbitmq import free_port
from production_server.update.packages import STAMP, stamp_of
from tests.support.releases import broker_of, make_live, make_release, wait_ready
from tests.support.rows import PATIENT
from tests.support.service import ROOT, Service
from tests.support.steady import Steady, steady
from tests.support.units import Units

RATE = 50
# stackserve-update, with the folders of this server.
PROGRAM = """
import sys
from pathlib import Path
root = Path(sys.argv.pop(1))
sys.path.insert(0, str((root / "app").resolve()))
from production_server.update import command
command.ROOT, command.SERVICE = root, root / "server.env"
command.STEP_SETTINGS = root / "settings.env"
command.main()
"""
# Skips its own options.
SYSTEMD_RUN = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do
    case $1 in --property=WorkingDirectory=*) cd "${1#--property=WorkingDirectory=}" ;; esac
    shift
done
exec "$@"
"""
UNITS = ("stackserve-worker@1", "stackserve-recorder", "stackserve-web")


class Server:
    """A server in a folder, with one worker, a recorder and a web tier."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.root = folder / "root"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        make_release(self.root, "first", updated=False)
        (self.root / "releases" / "first" / "payload.sha256").write_text("first")
        make_live(self.root, "first")
        make_venv(self.root / "venv")
        (self.root / "settings.env").write_text(f"WEB_PORT={self.port}\n")
        (self.root / "server.env").write_text("STACKSERVE_CODE_HASH=code1\n")
        environment = {
            **service.environment,
            **broker_of(service),
            "STACKSERVE_HOME": str(folder / "home"),
            "STACKSERVE_PORT": str(self.port),
            "STACKSERVE_WEB_PROCESSES": "1",
            "STACKSERVE_CODE_HASH": "code1",
        }
        self.units = Units(self.root, folder / "units", environment)
        run = self.units.programs / "systemd-run"
        run.write_text(SYSTEMD_RUN)
        run.chmod(0o755)

    def update(self, *words: str, payload: bytes = b"") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-B", "-c", PROGRAM, str(self.root), *words],
            input=payload,
            capture_output=True,
            env={**self.units.environment, **self.units.variables},
            timeout=180,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def install(self, payload: bytes, code: str) -> subprocess.CompletedProcess[str]:
        sha256 = hashlib.sha256(payload).hexdigest()
        return self.update("code", "--sha256", sha256, "--code", code, payload=payload)

    @property
    def code(self) -> str:
        return str(httpx.get(f"{self.url}/alive", timeout=10).json()["code_hash"])

    @property
    def running(self) -> set[str]:
        """The releases that the units run."""
        found = set()
        for unit in self.units.units.values():
            if unit.active and unit.main:
                found.add(Path(unit.main.cwd()).name)
        return found

    def releases(self) -> list[str]:
        return sorted(one.name for one in (self.root / "releases").iterdir())


def make_venv(folder: Path) -> None:
    """The packages of these tests, as those of the locked ones."""
    ours = Path(sys.prefix)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "lib").symlink_to(ours / "lib")
    (folder / "pyvenv.cfg").write_text((ours / "pyvenv.cfg").read_text())
    (folder / STAMP).write_text(stamp_of(ROOT / "production_server", oidc=False))


def archive(mark: str, **replaced: str) -> bytes:
    """The code of this checkout, told apart by a mark; some modules replaced by other text."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=0) as tar:

        def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
            skipped = "__pycache__" in member.name or member.name in replaced
            return None if skipped else member

        tar.add(ROOT / "production_server", "production_server", filter=kept)
        for name, text in {"mark": mark, **replaced}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


@pytest.fixture
def server(services: Service, tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path, services)
    with made.units:
        for name in UNITS:
            made.units.unit(f"{name}.service").start()
        wait_ready(made.url, made.units.logs)
        yield made


def no_failures(found: Steady) -> None:
    found.more(RATE // 2)
    assert not found.failures, found.failures[:3]


def test_an_update_and_the_way_back_fail_no_request(server: Server) -> None:
    with steady(server.url, PATIENT, RATE, longest=240) as found:
        done = server.install(archive("second"), "code2")
        assert done.returncode == 0, done.stderr + server.units.logs()
        found.wait_for(lambda: server.code == "code2", 20)
        assert "code code2 is live" in done.stdout
        (second,) = server.running
        no_failures(found)
        done = server.update("rollback")
        assert done.returncode == 0, done.stderr
        assert server.running == {"first"}
        found.wait_for(lambda: server.code == "code1", 20)
        no_failures(found)
        # And forward again, without installing anything.
        assert server.update("rollback").returncode == 0
        assert server.running == {second}
        no_failures(found)
    status = json.loads(server.update("status").stdout)
    assert status["live"] == "code2"
    assert len(status["kept"]) == 2


BROKEN_AT_START = archive(
    "x", **{"production_server/web/app.py": "raise ImportError('no such library')\n"}
)
# It passes the rehearsal, which runs no web tier.
SUCCESSION = "production_server/web/succession.py"
TAKES_OVER = "def take_over(self) -> None:\n"
BROKEN_IN_SERVICE = archive(
    "y",
    **{
        SUCCESSION: (ROOT / SUCCESSION)
        .read_text()
        .replace(TAKES_OVER, f"{TAKES_OVER}        raise SystemExit(9)\n")
    },
)


def test_code_that_does_not_start_is_refused(server: Server) -> None:
    with steady(server.url, PATIENT, RATE, longest=240) as found:
        done = server.install(BROKEN_AT_START, "bad")
        assert done.returncode == 1
        assert "the new code does not start: " in done.stderr
        assert "no such library" in done.stderr
        assert server.running == {"first"}
        no_failures(found)


def test_code_that_fails_in_service_goes_back_by_itself(server: Server) -> None:
    with steady(server.url, PATIENT, RATE, longest=240) as found:
        done = server.install(BROKEN_IN_SERVICE, "bad")
        assert done.returncode == 1
        assert "going back" in done.stdout
        assert "The server runs code code1 again" in done.stderr
        assert server.running == {"first"}
        no_failures(found)


def test_what_did_not_arrive_whole_is_refused(server: Server) -> None:
    payload = archive("z")
    sha256 = hashlib.sha256(payload).hexdigest()
    done = server.update("code", "--sha256", sha256, "--code", "c", payload=payload[:-100])
    assert done.returncode == 1
    assert "did not arrive whole" in done.stderr
    assert server.releases() == ["first"]
    done = server.update("rollback")
    assert "no release to go back to" in done.stderr
