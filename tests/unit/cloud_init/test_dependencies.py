"""steps/dependencies.sh: which of the two locks it installs, by what the machine has."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.cloud_init.steps import FILES

LOCKS = {"requirements.txt": "keras\n", "requirements.oidc.txt": "joserfc\n"}
USUAL, OIDC = (f"{hashlib.sha256(text.encode()).hexdigest()}  -" for text in LOCKS.values())
FROM_URLS = {"": "pylock.toml", ".oidc": "pylock.oidc.toml"}
BY_NAME = {"": "requirements.txt", ".oidc": "requirements.oidc.txt"}
BOTH = ["venv", "", ".oidc"]


class Machine:
    """Runs the step with a uv that records what it is asked for."""

    def __init__(self, folder: Path, stamp: str) -> None:
        self.folder = folder
        self.home = folder / "stackserve"
        self.venv = self.home / "venv"
        code = self.home / "app" / "production_server"
        for made in (self.home / "bin", self.venv, code):
            made.mkdir(parents=True)
        for name, text in LOCKS.items():
            (code / name).write_text(text)
        if stamp:
            (self.venv / "stackserve-lock").write_text(f"{stamp}\n")
        script = (FILES / "steps" / "dependencies.sh").read_text().replace("/opt", str(folder))
        self.step = folder / "dependencies.sh"
        self.step.write_text(script)
        (folder / "fetch_uv.py").touch()
        self.program("bin/uv", f'echo "$@" >> {folder}/asked; exit $(cat {folder}/code)')
        (folder / "code").write_text("0")

    def program(self, name: str, script: str) -> None:
        path = self.home / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, **settings: str) -> bool:
        environment = {"PATH": os.environ["PATH"], **settings}
        return not subprocess.run(["sh", str(self.step)], env=environment, check=False).returncode

    def asked(self, locks: dict[str, str] = FROM_URLS) -> list[str]:
        """What was done, in order: the environment, and each lock by its suffix."""
        log = self.folder / "asked"
        found = []
        for line in log.read_text().splitlines() if log.exists() else []:
            words = line.split()
            if words[0] == "venv":
                found.append("venv")
            else:
                assert {"--require-hashes", "--no-deps", ":all:"} <= set(words)
                name = Path(words[words.index("--requirements") + 1]).name
                found += [suffix for suffix, lock in locks.items() if lock == name]
        return found

    def stamp(self) -> str:
        new = self.venv / "stackserve-lock.new"
        return new.read_text().strip() if new.exists() else ""


@pytest.mark.parametrize(
    ("there", "oidc", "asked", "stamp"),
    [
        ("", False, ["venv", ""], USUAL),
        (USUAL, False, [], ""),
        ("", True, BOTH, f"{USUAL} {OIDC}"),
        # A prepared image: only what it has not.
        (USUAL, True, [".oidc"], f"{USUAL} {OIDC}"),
        (f"{USUAL} {OIDC}", True, [], ""),
        (f"{USUAL} old", True, [".oidc"], f"{USUAL} {OIDC}"),
        (f"old {OIDC}", True, BOTH, f"{USUAL} {OIDC}"),
        ("old", False, ["venv", ""], USUAL),
    ],
)
@pytest.mark.parametrize("mirror", [{}, {"UV_DEFAULT_INDEX": "https://mirror.example.org/simple"}])
def test_which_locks_are_installed(
    tmp_path: Path, there: str, oidc: bool, asked: list[str], stamp: str, mirror: dict[str, str]
) -> None:
    machine = Machine(tmp_path, there)
    assert machine.run(**mirror, **({"OIDC": "yes"} if oidc else {}))
    assert machine.asked(BY_NAME if mirror else FROM_URLS) == asked
    assert machine.stamp() == stamp


def test_an_attempt_that_fails_leaves_the_stamp_of_the_image(tmp_path: Path) -> None:
    machine = Machine(tmp_path, USUAL)
    (tmp_path / "code").write_text("1")
    assert not machine.run(OIDC="yes")
    assert machine.stamp() == ""
    (tmp_path / "code").write_text("0")
    assert machine.run(OIDC="yes")
    # What the first attempt left may be incomplete.
    assert all("--reinstall" in line for line in (tmp_path / "asked").read_text().splitlines())
    assert machine.asked() == [".oidc", ".oidc"]
