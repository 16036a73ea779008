"""stackserve-update: changes the code of this server while it serves.

    stackserve-update code --sha256 SHA256 --code HASH    the archive comes on standard input
    stackserve-update rollback                            the release that was live before
    stackserve-update status                              as JSON

Root runs it, and must not run code that the service's account could have compiled; so it is
isolated and without bytecode, and the standard library is enough to import it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from production_server.errors import StackserveError, UpdateError
from production_server.update import packages
from production_server.update.machine import Machine
from production_server.update.releases import Releases, code_of, note_code

ROOT = Path("/opt/stackserve")
STEP_SETTINGS = ROOT / "contextualize" / "settings.env"
SERVICE = Path("/etc/stackserve/server.env")
ACCOUNT = "stackserve"
REHEARSAL_SECONDS = 600


def main(arguments: Sequence[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    # The launcher may go away. What has begun is finished, or undone.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    updater = Updater(ROOT)
    try:
        if given.verb == "status":
            print(json.dumps(updater.status(), indent=2))
            return
        with updater.alone():
            if given.verb == "code":
                updater.install(given.sha256, given.code)
            else:
                updater.go_back()
    except StackserveError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.remedy:
            print(error.remedy, file=sys.stderr)
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stackserve-update", description="See docs/update.md.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    code = verbs.add_parser("code", help="install the archive on standard input, and run it")
    code.add_argument("--sha256", required=True, help="the hash of the archive")
    code.add_argument("--code", required=True, help="the hash of the code, for /alive")
    verbs.add_parser("rollback", help="run the release that was live before")
    verbs.add_parser("status", help="show the releases as JSON")
    return parser


class Updater:
    """The releases and the services of this machine."""

    def __init__(self, root: Path) -> None:
        self._releases = Releases(root)
        self._root = root
        self._service = _settings(SERVICE)
        self._machine = Machine(int(_settings(STEP_SETTINGS).get("WEB_PORT", "5100")))

    def status(self) -> dict[str, object]:
        previous = self._releases.previous
        return {
            "live": self._code(self._releases.live),
            "previous": self._code(previous) if previous else None,
            "kept": [self._code(one) for one in self._releases.all()],
        }

    def install(self, sha256: str, code: str) -> None:
        """Install the code beside the live one, try it, and change to it."""
        # Its processes may inherit the settings of newer code, if they run again after that.
        note_code(self._releases.live, self._code(self._releases.live))
        release = self._releases.add(sys.stdin.buffer, sha256, code)
        _say(f"code {code} is here")
        _say(packages.provide(self._root, release, _settings(STEP_SETTINGS)))
        self._rehearse(release)
        _say("it starts, and predicts")
        self._change(release)
        self._releases.prune([one for unit in self._machine.units() if (one := unit.release)])

    def go_back(self) -> None:
        previous = self._releases.previous
        if previous is None:
            raise UpdateError(
                "there is no release to go back to", "Run `update --code` with the code you want."
            )
        self._change(previous)

    def _change(self, release: Path) -> None:
        before = self._releases.live
        self._releases.switch(release)
        try:
            self._machine.change(release, _say)
        except UpdateError as error:
            if before == release:
                raise
            _say(f"going back to code {self._code(before)}: {error}")
            self._releases.switch(before)
            try:
                self._machine.change(before, _say)
            except UpdateError as worse:
                raise UpdateError(
                    f"{error}; and going back failed: {worse}", "Look at it with `logs` and `ssh`."
                ) from worse
            raise UpdateError(
                f"{error}. The server runs code {self._code(before)} again",
                "Correct the code, and update again.",
            ) from error
        _say(f"code {self._code(release)} is live")

    def _rehearse(self, release: Path) -> None:
        """Let the new code import everything and predict, beside the live service."""
        command = [
            *("systemd-run", "--quiet", "--pipe", "--wait", "--collect"),
            *(f"--uid={ACCOUNT}", f"--gid={ACCOUNT}"),
            f"--property=EnvironmentFile={SERVICE}",
            f"--property=WorkingDirectory={release}",
            "--property=MemoryMax=1500M",
            f"--property=RuntimeMaxSec={REHEARSAL_SECONDS}",
            str(self._root / packages.LINK / "bin" / "python"),
            *("-m", "production_server", "rehearse"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise UpdateError(
                f"the new code does not start: {said[-1] if said else 'no reason given'}. "
                "Nothing was changed",
                "Correct the code, and update again.",
            )

    def _code(self, release: Path) -> str:
        return code_of(release, self._service.get("STACKSERVE_CODE_HASH", release.name))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        lock = os.open(self._root / "update.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise UpdateError(
                "another update of this server is under way", "Wait for its end, and try again."
            ) from error
        finally:
            os.close(lock)


def _settings(file: Path) -> dict[str, str]:
    lines = file.read_text().splitlines() if file.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)


if __name__ == "__main__":
    main()
