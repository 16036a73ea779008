"""Run documented commands like a new user: in a fresh checkout and home, with port 5100 free."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from types import TracebackType

from tests.support.documents import ROOT, Block

PORT = 5100
# Documented commands that run until they are stopped.
SERVERS = {"./scripts/run", "stackserve server serve"}
COMMAND_SECONDS, START_SECONDS, STOP_SECONDS = 120, 120, 40
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".stackserve")
# Turns on the loopback interface of a new network namespace, and waits until stdin is closed.
HOLD = """
import fcntl, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
print("up", flush=True)
sys.stdin.read()
"""


def make_checkout(folder: Path) -> Path:
    """Copy the checkout, with an environment that shares the packages of this one."""
    copy = folder / ROOT.name
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    venv = copy / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    paths = {"base": str(venv), "platbase": str(venv)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", paths))
    shared = sysconfig.get_path("purelib")
    (site_packages / "shared.pth").write_text(f"import site; site.addsitedir({shared!r})\n")
    # The stamp file that scripts/environment.py writes.
    locked = (copy / "requirements.txt").read_bytes() + sys.version.encode()
    (venv / f".installed-{copy.name}").write_text(hashlib.sha256(locked).hexdigest())
    return copy


class Network:
    """A new network namespace; without permission to create one, the machine's own network."""

    def __init__(self) -> None:
        self._holder: subprocess.Popen[str] | None = None
        self.prefix: list[str] = []

    def __enter__(self) -> Network:
        if not (shutil.which("unshare") and shutil.which("nsenter")):
            return self
        command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", HOLD]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert holder.stdout is not None
        self._holder = holder
        if holder.stdout.readline():
            target = f"--target={holder.pid}"
            self.prefix = ["nsenter", target, "--user", "--net", "--preserve-credentials"]
        return self

    def __exit__(self, *_: object) -> None:
        if self._holder is not None:
            self._holder.communicate()

    @property
    def port_is_free(self) -> bool:
        if self.prefix:
            return True
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", PORT)) != 0


class Terminal:
    """Runs blocks one after the other; a server runs until the terminal is closed."""

    def __init__(self, checkout: Path, home: Path, network: Network) -> None:
        self._checkout, self._home, self._network = checkout, home, network
        self._serving: subprocess.Popen[bytes] | None = None
        home.mkdir(exist_ok=True)
        # A failed request fails its block.
        (home / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
        self._environment = {
            "PATH": os.pathsep.join([str(checkout / ".venv" / "bin"), os.defpath]),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            # One registry for all pages, so that the model is compiled once.
            "STACKSERVE_HOME": str(home / "stackserve"),
            # `pip install .` finds all dependencies in the environment and needs no network.
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        stopped = self.stop()
        assert kind or stopped in (None, 0), f"the service exited with {stopped}"

    def run(self, block: Block) -> str:
        """Run a block as written and return its output; raise AssertionError if it fails."""
        if block.text.strip() in SERVERS:
            return self._serve(block)
        done = subprocess.run(
            self._command(block),
            cwd=self._checkout,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        assert done.returncode == 0, f"{block.place}:\n{block.text}{done.stdout}{done.stderr}"
        return done.stdout

    def _command(self, block: Block) -> list[str]:
        return [*self._network.prefix, "bash", "-euo", "pipefail", "-c", block.text]

    def _serve(self, block: Block) -> str:
        assert self._serving is None, f"{block.place}: this page has started a server already"
        log = self._home / "serve.log"
        with log.open("wb") as output:
            self._serving = subprocess.Popen(
                self._command(block),
                cwd=self._checkout,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while "Ready: " not in (output_text := log.read_text()):
            ended = self._serving.poll() is not None
            assert not ended and time.monotonic() < deadline, f"{block.place}:\n{output_text}"
            time.sleep(0.2)
        return output_text

    def stop(self) -> int | None:
        """Stop the server with Ctrl-C and return its exit code."""
        process, self._serving = self._serving, None
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
