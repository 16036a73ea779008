"""The service's units on this machine, and what systemd knows about them."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from production_server.errors import UpdateError

WEB = "stackserve-web.service"
RECORDER = "stackserve-recorder.service"
TRAINER = "stackserve-trainer.service"
WORKERS = "stackserve-worker@*.service"
# Takes tasks while the others restart. `scale` never uses this number.
SPARE = "stackserve-worker@99.service"
# As production_server/worker/status.py reports it.
TAKING_TASKS = "taking tasks"
# As production_server/web/succession.py says it.
NOT_STARTED = "did not start"
PAUSE = 0.2
# Seconds, also for an emulated processor.
PATIENCE = 180.0
# A unit that has restarted by itself this often will not come up.
MOST_RESTARTS = 2
# How long the recorder must stay up.
STEADY = 2.0
LOG_LINES = 8


@dataclass
class Unit:
    """A unit's state, as `systemctl show` prints it."""

    name: str
    active: str
    status: str
    main_process: int
    restarts: int

    @property
    def release(self) -> Path | None:
        """The folder of the release that it runs."""
        try:
            return Path(f"/proc/{self.main_process}/cwd").resolve(strict=True)
        except OSError:
            return None


class Machine:
    """Restarts units so that others answer meanwhile."""

    def __init__(self, web_port: int, patience: float = PATIENCE) -> None:
        self._web_port = web_port
        self._patience = patience

    def units(self) -> list[Unit]:
        """Those that run: workers, then recorder, trainer and web tier."""
        every = (WORKERS, RECORDER, TRAINER, WEB)
        listing = _systemctl("list-units", "--plain", "--no-legend", *every)
        names = {line.split()[0] for line in listing.splitlines() if line.split()} - {SPARE}
        order = {RECORDER: 1, TRAINER: 2, WEB: 3}
        return [self.unit(name) for name in sorted(names, key=lambda one: (order.get(one, 0), one))]

    def unit(self, name: str) -> Unit:
        properties = "ActiveState,StatusText,MainPID,NRestarts"
        shown = _systemctl("show", f"--property={properties}", name)
        values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        return Unit(
            name,
            values.get("ActiveState", ""),
            values.get("StatusText", ""),
            int(values.get("MainPID", 0)),
            int(values.get("NRestarts", 0)),
        )

    def change(self, release: Path, say: Callable[[str], None]) -> None:
        """Let every unit run this release, the workers first. Raises UpdateError if one does not.

        Only units that run another one are restarted.
        """
        running = self.units()
        behind = [unit.name for unit in running if unit.release != release]
        workers = [name for name in behind if name not in (RECORDER, TRAINER, WEB)]
        # On a worker VM, the other machines take its tasks.
        has_web = any(unit.name == WEB for unit in running)
        try:
            if workers and has_web:
                _systemctl("restart", SPARE)
                self._until_taking_tasks(SPARE)
            for name in workers:
                _systemctl("restart", name)
                self._until_taking_tasks(name)
            if workers:
                say("the workers run it")
            if RECORDER in behind:
                _systemctl("restart", RECORDER)
                self._until(RECORDER, lambda unit: unit.active == "active", steady=STEADY)
                say("the recorder runs it")
            if TRAINER in behind:
                # A training that is interrupted starts again.
                _systemctl("restart", TRAINER)
                self._until(TRAINER, lambda unit: unit.active == "active")
                say("the trainer runs it")
            if WEB in behind:
                self._reload_web(release)
                say("the web tier runs it")
        finally:
            if has_web:
                _systemctl("stop", SPARE)
        if has_web:
            self._until_ready()

    def _until_taking_tasks(self, name: str) -> None:
        self._until(name, lambda unit: unit.status == TAKING_TASKS)

    def _reload_web(self, release: Path) -> None:
        # It may still say so of an earlier attempt.
        before = self.unit(WEB).status
        _systemctl("reload", WEB)
        self._until(
            WEB,
            lambda unit: unit.release == release,
            refused=lambda unit: NOT_STARTED in unit.status and unit.status != before,
        )

    def _until(
        self,
        name: str,
        wanted: Callable[[Unit], bool],
        *,
        refused: Callable[[Unit], bool] = lambda unit: False,
        steady: float = 0.0,
    ) -> None:
        """Wait until a unit is as wanted, and stays so for some seconds."""
        until = time.monotonic() + self._patience
        since: float | None = None
        while True:
            unit, now = self.unit(name), time.monotonic()
            if unit.active == "failed" or unit.restarts >= MOST_RESTARTS or refused(unit):
                raise UpdateError(f"{name} does not start: {_last_words(name)}")
            since = (now if since is None else since) if wanted(unit) else None
            if since is not None and now - since >= steady:
                return
            if now > until:
                raise UpdateError(f"{name} is not ready after {self._patience:.0f} s")
            time.sleep(PAUSE)

    def _until_ready(self) -> None:
        until = time.monotonic() + self._patience
        while why := self._not_ready():
            if time.monotonic() > until:
                raise UpdateError(f"no prediction comes back: {why}")
            time.sleep(PAUSE)

    def _not_ready(self) -> str:
        """Why no prediction comes back through the queue; empty if one does."""
        # The proxy is for downloads, not for this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self._web_port}/ready", timeout=10):
                return ""
        except urllib.error.HTTPError as error:
            with error:
                body = error.read()
            try:
                return str(json.loads(body).get("detail", error))
            except ValueError:
                return str(error)
        except OSError as error:
            return str(error)


def _systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UpdateError(f"`systemctl {' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout


def _last_words(unit: str) -> str:
    """The end of its journal, where the reason usually is."""
    show = ["journalctl", "--no-pager", "--output=cat", f"--lines={LOG_LINES}", f"--unit={unit}"]
    done = subprocess.run(show, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return lines[-1] if lines else "its journal is empty"
