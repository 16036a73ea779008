"""The other programs that a VM runs: RabbitMQ's account, fetching uv, the syntax of shell steps."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import stat
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from production_server.settings import half_the_cores
from tests.unit.cloud_init.receiver import PAYLOAD, Receiver
from tests.unit.cloud_init.steps import FILES, load

SHELL = sorted(
    path for path in FILES.rglob("*") if path.is_file() and b"/bin/sh" in path.read_bytes()[:12]
)


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shell_steps_stop_at_the_first_failure(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert "set -eu" in script.read_text() or script.name == "wait.sh"


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path, needs: Callable[[object, str], None]) -> None:
    needs(shutil.which("shellcheck"), "shellcheck is missing: apt-get install shellcheck")
    done = subprocess.run(
        ["shellcheck", "--shell=sh", str(script)], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_warm_imports_the_modules_that_the_units_run() -> None:
    """warm.py imports the modules of the service's processes by name; they must exist."""
    source = (FILES / "steps" / "warm.py").read_text()
    modules = re.findall(r'"(production_server\.[a-z_.]+)"', source)
    assert len(modules) == 4
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


class TestAccount:
    """steps/account.py and steps/private.py."""

    @pytest.fixture
    def program(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        program = load("steps/account.py")
        (tmp_path / "rabbitmq" / "conf.d").mkdir(parents=True)
        for name in (
            "SETTINGS",
            "SERVICE",
            "OF_THE_IMAGE",
            "DEFINITIONS",
            "COOKIE",
            "STARTED_WITH",
        ):
            monkeypatch.setattr(program, name, tmp_path / name.lower())
        monkeypatch.setattr(program, "RABBITMQ", tmp_path / "rabbitmq")
        monkeypatch.setattr(shutil, "chown", lambda *_: None)
        monkeypatch.setattr(program.grp, "getgrall", list)
        (tmp_path / "settings").write_text("STACKSERVE_PORT=5100\n")
        return program

    def installed(self, program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        groups = [SimpleNamespace(gr_name="rabbitmq")]
        monkeypatch.setattr(program.grp, "getgrall", lambda: groups)

    def test_password_is_hashed_as_rabbitmq_does_it(self, program: Any) -> None:
        kept = base64.b64decode(program.password_hash("pass word"))
        salt, digest = kept[:4], kept[4:]
        assert digest == hashlib.sha256(salt + b"pass word").digest()

    def test_one_account_in_one_virtual_host_and_no_guest(self, program: Any) -> None:
        made = program.definitions("stackserve", "secret")
        assert [user["name"] for user in made["users"]] == ["stackserve"]
        assert made["users"][0]["tags"] == ""
        assert [host["name"] for host in made["vhosts"]] == ["stackserve"]
        assert "secret" not in str(made)

    def test_secrets_are_never_readable_by_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = load("steps/private.py")
        owners: list[tuple[str, str]] = []
        monkeypatch.setattr(program.shutil, "chown", lambda _path, *who: owners.append(who))
        before = os.umask(0o077)
        program.write(tmp_path / "server.env", "A=1\n", "stackserve")
        os.umask(before)
        assert stat.S_IMODE((tmp_path / "server.env").stat().st_mode) == 0o640
        assert owners == [("root", "stackserve")]
        assert [path.name for path in tmp_path.iterdir()] == ["server.env"]

    def test_rabbitmq_gets_the_account_that_the_services_use(
        self, program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program.main(early=False)
        first = (tmp_path / "service").read_text()
        found = re.fullmatch(
            r"STACKSERVE_PORT=5100\nSTACKSERVE_BROKER_URL="
            r"amqp://stackserve:([\w-]{40,})@127\.0\.0\.1:5672/stackserve\n",
            first,
        )
        assert found
        # RabbitMQ and the group that may read its file are installed later.
        assert not (tmp_path / "definitions").exists()
        self.installed(program, monkeypatch)
        program.main(early=False)
        assert (tmp_path / "service").read_text() == first
        assert stat.S_IMODE((tmp_path / "cookie").stat().st_mode) == 0o400
        assert len((tmp_path / "cookie").read_text()) == 32
        (user,) = json.loads((tmp_path / "definitions").read_text())["users"]
        kept = base64.b64decode(user["password_hash"])
        assert kept[4:] == hashlib.sha256(kept[:4] + found[1].encode()).digest()

    def test_an_early_account_keeps_its_password_and_gets_the_settings(
        self, program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.installed(program, monkeypatch)
        (tmp_path / "of_the_image").write_text("STACKSERVE_PORT=5000\n")
        (tmp_path / "settings").unlink()
        program.main(early=True)
        early = (tmp_path / "service").read_text()
        account = (tmp_path / "definitions").read_text()
        (tmp_path / "settings").write_text("STACKSERVE_PORT=5100\n")
        program.main(early=False)
        assert (tmp_path / "service").read_text() == early.replace("5000", "5100")
        assert (tmp_path / "definitions").read_text() == account

    @pytest.mark.parametrize("changed", [False, True])
    def test_rabbitmq_restarts_only_if_its_configuration_changed(
        self, program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
    ) -> None:
        self.installed(program, monkeypatch)
        (tmp_path / "of_the_image").write_text("")
        program.main(early=True)
        if changed:
            (tmp_path / "rabbitmq" / "conf.d" / "20-workers-join.conf").write_text("more")
        program.main(early=False)
        assert (tmp_path / "started_with").exists() is not changed


@pytest.mark.parametrize("early", [False, True])
def test_rabbitmq_gets_its_account_and_starts(tmp_path: Path, early: bool) -> None:
    """steps/rabbitmq.sh, with a systemctl and an account.py that record their calls."""
    script = (FILES / "steps" / "rabbitmq.sh").read_text()
    mark = str(load("steps/account.py").STARTED_WITH)
    assert mark in script
    (tmp_path / "rabbitmq.sh").write_text(script.replace(mark, f"{tmp_path}/mark"))
    for name in ("systemctl", "account.py"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/asked\n')
        (tmp_path / name).chmod(0o755)
    if early:
        (tmp_path / "mark").touch()
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", str(tmp_path / "rabbitmq.sh")], env=environment, check=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    if early:
        assert asked == ["systemctl start rabbitmq-server.service"]
    else:
        assert asked[0] == "account.py"
        assert asked[1].startswith("systemctl enable ")
        assert asked[2:] == ["systemctl restart rabbitmq-server.service"]


@pytest.mark.parametrize("there", [None, "other", "this"])
def test_code_sh_waits_only_for_code_that_is_missing(tmp_path: Path, there: str | None) -> None:
    script = (FILES / "steps" / "code.sh").read_text()
    stamp = "/opt/stackserve/app/payload.sha256"
    assert stamp in script
    (tmp_path / "code.sh").write_text(script.replace(stamp, f"{tmp_path}/stamp"))
    (tmp_path / "code.py").write_text(f"#!/bin/sh\ntouch {tmp_path}/waited\n")
    (tmp_path / "code.py").chmod(0o755)
    if there:
        (tmp_path / "stamp").write_text(there)
    environment = {"PATH": os.environ["PATH"], "PAYLOAD_SHA256": "this"}
    subprocess.run(["sh", str(tmp_path / "code.sh")], env=environment, check=True)
    assert (tmp_path / "waited").exists() is (there != "this")


NAME = "uv-1.2.3-py3-none-manylinux_2_17_x86_64.whl"


def wheel() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("uv-1.2.3.data/scripts/uv", "#!/bin/sh\necho uv 1.2.3\n")
    return buffer.getvalue()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index with one wheel of uv."""
    (tmp_path / "simple" / "uv").mkdir(parents=True)
    (tmp_path / "simple" / "uv" / "index.html").write_text(f'<a href="../../{NAME}#sha256=0">x</a>')
    (tmp_path / NAME).write_bytes(wheel())
    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class TestFetchUv:
    """fetch_uv.py"""

    @pytest.fixture
    def program(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        program = load("fetch_uv.py")
        monkeypatch.setattr(program, "PINS", tmp_path / "uv.txt")
        monkeypatch.setattr(program.platform, "machine", lambda: "x86_64")
        monkeypatch.setattr(program.time, "sleep", lambda _seconds: None)
        return program

    def pin(self, program: Any, address: str, content: bytes) -> None:
        pin = f"# why\n{address}/{NAME} {hashlib.sha256(content).hexdigest()}\n"
        program.PINS.write_text(pin)

    def test_from_its_pinned_url(self, program: Any, index: str, tmp_path: Path) -> None:
        self.pin(program, index, wheel())
        program.main(tmp_path / "uv")
        run = subprocess.run([tmp_path / "uv"], capture_output=True, text=True, check=True)
        assert run.stdout == "uv 1.2.3\n"

    def test_from_a_mirror(
        self, program: Any, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.pin(program, "https://elsewhere.invalid", wheel())
        monkeypatch.setattr(program, "MIRROR", f"{index}/simple/")
        program.main(tmp_path / "uv")
        assert (tmp_path / "uv").stat().st_mode & 0o111

    def test_a_wheel_with_another_hash_is_refused(
        self, program: Any, index: str, tmp_path: Path
    ) -> None:
        self.pin(program, index, b"the real one")
        with pytest.raises(SystemExit, match="has SHA-256"):
            program.main(tmp_path / "uv")
        assert not (tmp_path / "uv").exists()

    def test_not_on_the_mirror(
        self, program: Any, index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program.PINS.write_text("https://x.invalid/uv-9-py3-none-manylinux_x86_64.whl 00\n")
        monkeypatch.setattr(program, "MIRROR", f"{index}/simple/")
        with pytest.raises(SystemExit, match="does not have uv-9"):
            program.main(tmp_path / "uv")

    def test_no_network(self, program: Any, tmp_path: Path) -> None:
        self.pin(program, "http://127.0.0.1:9", wheel())
        with pytest.raises(SystemExit, match=r"cannot reach the package index at 127\.0\.0\.1:9"):
            program.main(tmp_path / "uv")

    def test_another_processor(
        self, program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.pin(program, "http://127.0.0.1:9", wheel())
        monkeypatch.setattr(program.platform, "machine", lambda: "riscv64")
        with pytest.raises(SystemExit, match="riscv64"):
            program.main(tmp_path / "uv")

    def test_the_real_pins_are_complete(self) -> None:
        lines = [
            line for line in (FILES / "uv.txt").read_text().splitlines() if not line.startswith("#")
        ]
        for line in lines:
            address, digest = line.split()
            assert address.startswith("https://files.pythonhosted.org/")
            assert len(bytes.fromhex(digest)) == 32
        assert {line.split()[0].rsplit("_", 1)[1] for line in lines} == {"64.whl", "aarch64.whl"}


class TestAddWorker:
    """bin/stackserve-add-worker"""

    @pytest.fixture
    def program(self) -> Any:
        return load("bin/stackserve-add-worker")

    def test_sends_the_code_unless_the_worker_has_it(
        self, program: Any, receiver: Callable[..., Receiver]
    ) -> None:
        path = f"/stackserve-payload/{hashlib.sha256(PAYLOAD).hexdigest()}"
        good = program.DELIVERED + program.HAS_ITS_CODE
        for vm in (receiver("payload"), receiver("password")):
            program.send("127.0.0.1", vm.port, path, PAYLOAD, good, time.monotonic() + 10)

    def test_reports_a_worker_that_expects_other_code(
        self, program: Any, receiver: Callable[..., Receiver]
    ) -> None:
        with pytest.raises(SystemExit, match="other code than this server runs"):
            program.send(
                "127.0.0.1",
                receiver().port,
                "/stackserve-payload/0",
                b"old",
                (201,),
                time.monotonic() + 10,
            )

    def test_reports_a_worker_that_never_answers(self, program: Any) -> None:
        with pytest.raises(SystemExit, match=r"127\.0\.0\.1 port 9 accepted nothing"):
            program.send("127.0.0.1", 9, "/x", b"", (201,), time.monotonic() + 0.2)

    def test_an_existing_account_gets_a_new_password(
        self, program: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[tuple[str, ...], str]] = []

        def rabbitmqctl(*arguments: str, given: str = "") -> str:
            asked.append((arguments, given))
            return "stackserve\t[]\nworker-w1\t[]\n"

        monkeypatch.setattr(program, "rabbitmqctl", rabbitmqctl)
        old, new = program.make_account("worker-w1"), program.make_account("worker-w2")
        commands = [arguments[:2] for arguments, _ in asked]
        assert ("change_password", "worker-w1") in commands
        assert ("add_user", "worker-w2") in commands
        # Only on standard input: every user of the server can read arguments.
        assert not any(old in arguments or new in arguments for arguments, _ in asked)
        assert {old, new} <= {given for _, given in asked}


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 7, 8, 64])
def test_a_vm_starts_as_many_workers_as_the_server_does_by_default(
    tmp_path: Path, cores: int
) -> None:
    """services.sh counts in the shell: starting Python just to ask would cost seconds."""
    (tmp_path / "nproc").write_text(f"#!/bin/sh\necho {cores}\n")
    (tmp_path / "systemctl").write_text("#!/bin/sh\n")
    for name in ("nproc", "systemctl"):
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "WORKERS": "auto", "ROLE": "server"}
    done = subprocess.run(
        ["sh", str(FILES / "steps" / "services.sh")],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    workers = [unit for unit in done.stdout.split() if "worker@" in unit]
    assert len(workers) == half_the_cores(cores)
