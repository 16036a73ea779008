"""A small service manager in place of systemd: real processes, controlled by a `systemctl`."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

STOP_SECONDS = 30
# Sends its arguments, and prints what comes back.
SYSTEMCTL = f"""#!{sys.executable} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(os.environ["UNITS"])
    sock.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    said = json.loads(sock.makefile().read())
print(said["out"], end="")
sys.exit(said["code"])
"""


class Unit:
    """One process, followed as systemd does with NotifyAccess=main."""

    def __init__(self, name: str, command: list[str], units: Units) -> None:
        self.name = name
        self.status = ""
        self.main: psutil.Process | None = None
        self._command, self._units = command, units
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def active(self) -> bool:
        with suppress(psutil.Error):
            return self.main is not None and self.main.status() != psutil.STATUS_ZOMBIE
        return False

    def start(self) -> None:
        if self.active:
            return
        address = str(self._units.folder / f"{self.name}.{len(self._started)}")
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        told.bind(address)
        threading.Thread(target=self._listen, args=(told,), daemon=True).start()
        self.status = ""
        with (self._units.folder / f"{self.name}.log").open("ab") as log:
            process = subprocess.Popen(
                self._command,
                cwd=self._units.app.resolve(),
                env={**self._units.environment, "NOTIFY_SOCKET": address},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._started.append(process)
        self.main = psutil.Process(process.pid)

    def stop(self) -> None:
        if self.main is not None and self.active:
            self.main.terminate()
            with suppress(psutil.NoSuchProcess):
                self.main.wait(STOP_SECONDS)
        for process in self._started:
            if process.poll() is None and self.main and process.pid == self.main.pid:
                process.wait(STOP_SECONDS)

    def reload(self) -> None:
        assert self.main is not None
        self.main.send_signal(signal.SIGUSR2)

    def shown(self) -> str:
        state = "active" if self.active else "inactive"
        main = self.main.pid if self.main and self.active else 0
        return f"ActiveState={state}\nStatusText={self.status}\nMainPID={main}\nNRestarts=0\n"

    def reap(self) -> None:
        for process in self._started:
            process.poll()

    def _listen(self, told: socket.socket) -> None:
        while True:
            for line in told.recv(4096).decode().splitlines():
                name, _, value = line.partition("=")
                if name == "STATUS":
                    self.status = value
                elif name == "MAINPID":
                    self.main = psutil.Process(int(value))


class Units:
    """The units of a server whose releases are in `root`."""

    def __init__(self, root: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self.app = root / "app"
        self.folder = folder
        self.programs = folder / "programs"
        self.environment = dict(environment)
        self.units: dict[str, Unit] = {}
        self.programs.mkdir(parents=True)
        self._control = socket.socket(socket.AF_UNIX)
        self._control.bind(str(folder / "control"))
        self._control.listen()
        program = self.programs / "systemctl"
        program.write_text(SYSTEMCTL)
        program.chmod(0o755)

    def __enter__(self) -> Units:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for unit in self.units.values():
            unit.stop()
        self._control.close()

    @property
    def variables(self) -> dict[str, str]:
        """With these, programs find this `systemctl`."""
        path = f"{self.programs}:{os.environ['PATH']}"
        return {"PATH": path, "UNITS": str(self.folder / "control")}

    def unit(self, name: str) -> Unit:
        if name not in self.units:
            verb, _, number = (
                name.removeprefix("stackserve-").removesuffix(".service").partition("@")
            )
            words = [verb, "--number", number] if number else [verb]
            command = [sys.executable, "-m", "production_server", *words]
            self.units[name] = Unit(name, command, self)
        return self.units[name]

    def logs(self) -> str:
        return "\n".join(
            f"--- {file.name}\n{file.read_text(errors='replace')[-2000:]}"
            for file in sorted(self.folder.glob("*.log"))
        )

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._control.accept()
            except OSError:
                return
            with connection:
                words = json.loads(connection.makefile().readline())
                try:
                    said = {"out": self._do(words), "code": 0}
                except Exception as error:  # noqa: BLE001 - the caller has to see it
                    said = {"out": f"{shlex.join(words)}: {error!r}", "code": 1}
                connection.sendall(json.dumps(said).encode())

    def _do(self, words: list[str]) -> str:
        verb, *rest = words
        names = [word for word in rest if not word.startswith("--")]
        for unit in self.units.values():
            unit.reap()
        if verb == "list-units":
            return "".join(
                f"{unit.name} loaded active running\n"
                for unit in list(self.units.values())
                if unit.active
            )
        if verb == "show":
            return self.unit(names[0]).shown()
        for name in names:
            unit = self.unit(name)
            if verb in ("stop", "restart"):
                unit.stop()
            if verb in ("start", "restart"):
                unit.start()
            if verb == "reload":
                unit.reload()
        return ""
