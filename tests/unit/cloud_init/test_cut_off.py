"""An installation that was cut off: how it is noticed, and which stamps are trusted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cloud_init.steps import FILES, file, load, steps_of
from tests.unit.openstack_client.userdata.contexts import GOLDEN, golden_text


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


class TestContextualize:
    """contextualize.py with steps that a test writes."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = tmp_path
        self.program = load("contextualize.py")
        for name in ("DONE", "BEGUN", "AGAIN", "CONSOLE"):
            monkeypatch.setattr(self.program, name, tmp_path / name.lower())
        monkeypatch.setattr(self.program, "HERE", tmp_path)
        monkeypatch.setattr(self.program, "LOGS", tmp_path / "log")
        monkeypatch.setattr(self.program, "steps", lambda *_: self.plan)
        monkeypatch.setattr(sys.modules["private"].shutil, "chown", lambda *_: None)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        (tmp_path / "settings.env").write_text("ROLE=server\nREADY_TIMEOUT=600\n")
        (tmp_path / "steps.json").write_text("[]")
        program(tmp_path / "sync", f"sleep 0.2; ls {tmp_path} >> {tmp_path}/synced")
        for name in ("systemctl", "systemd-run"):
            program(tmp_path / name, f'echo {name} "$@" >> {tmp_path}/asked')
        self.plan: list[Any] = []

    def step(self, stage: str, script: str, *after: str, stamp: str = "") -> Any:
        program(self.folder / f"{stage}.sh", f"cd {self.folder}\n{script}")
        path = f"{self.folder}/{stamp}" if stamp else ""
        return self.program.Step(stage, f"{stage}.sh", after, 20, path)

    def asked(self) -> list[str]:
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def test_a_stamp_is_in_place_only_after_a_sync(self) -> None:
        self.plan = [self.step("code", "echo this > stamp.new", stamp="stamp")]
        assert self.program.main() == 0
        assert (self.folder / "stamp").read_text() == "this\n"
        listings = (self.folder / "synced").read_text().split("\n")
        assert "stamp.new" in listings
        assert "stamp" not in listings

    def test_the_next_step_does_not_wait_for_that_sync(self) -> None:
        self.plan = [
            self.step("code", "echo this > stamp.new", stamp="stamp"),
            self.step("dependencies", "[ ! -e stamp ]", "code"),
        ]
        program(self.folder / "sync", "sleep 1")
        assert self.program.main() == 0
        assert (self.folder / "stamp").exists()

    def test_an_image_is_cleaned_with_its_stamps_in_place(self) -> None:
        self.plan = [
            self.step("code", "echo this > stamp.new", stamp="stamp"),
            self.step("clean", "cat stamp", "code")._replace(needs_stamps=True),
        ]
        assert self.program.main() == 0

    def test_a_step_that_fails_gets_no_stamp(self) -> None:
        self.plan = [self.step("code", "echo this > stamp.new; exit 1", stamp="stamp")]
        assert self.program.main() == 1
        assert not (self.folder / "stamp").exists()
        assert not (self.folder / "done").exists()

    @pytest.mark.parametrize("trace", [None, "begun", "again"])
    def test_steps_are_informed_and_units_stopped_if_an_attempt_was_cut_off(
        self, trace: str | None
    ) -> None:
        if trace:
            (self.folder / trace).touch()
        self.plan = [self.step("rabbitmq", 'echo "found $CUT_OFF" > found')]
        assert self.program.main() == 0
        assert (self.folder / "found").read_text() == ("found yes\n" if trace else "found \n")
        stopped = [line for line in self.asked() if line.startswith("systemctl")]
        units = "stackserve-*.service rabbitmq-server.service"
        assert stopped == ([f"systemctl {verb} {units}" for verb in ("stop", "reset-failed")]) * (
            trace is not None
        )

    def test_the_attempt_is_marked_until_the_certificates_are_installed(self) -> None:
        self.plan = [self.step("booting", "true")]
        assert self.program.main() == 0
        assert (self.folder / "begun").exists()
        assert (self.folder / "done").exists()
        (asked,) = self.asked()
        begun = self.folder / "begun"
        assert asked.endswith(f"update-ca-certificates && sync && rm -f {begun}")

    def test_after_a_reset_in_that_last_part_only_that_is_done_again(self) -> None:
        for name in ("begun", "done"):
            (self.folder / name).touch()
        self.plan = [self.step("packages", "touch installed-again")]
        assert self.program.main() == 0
        assert not (self.folder / "installed-again").exists()
        assert len(self.asked()) == 1

    def test_a_role_without_settings_has_no_folder_for_the_mark_yet(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(self.program, "BEGUN", self.folder / "etc" / "begun")
        self.plan = [self.step("booting", "true")]
        assert self.program.main() == 0
        assert (self.folder / "etc" / "begun").exists()

    def test_a_failed_attempt_stays_marked(self) -> None:
        program(self.folder / "sync", "true")
        self.plan = [self.step("packages", "sleep 1; exit 1")]
        assert self.program.main() == 1
        assert self.program.was_cut_off()


def test_the_stamps_are_those_that_the_steps_compare_and_write() -> None:
    programs = {step.stage: step for step in steps_of("server", 600)}
    folders = {"code": "/opt/stackserve/app", "dependencies": "/opt/stackserve/venv"}
    stamps = {step.stage: step.stamp for step in programs.values() if step.stamp}
    assert set(stamps) == {"packages", "code", "dependencies", "model"}
    for stage, stamp in stamps.items():
        name = stamp if stage not in folders else stamp.removeprefix(folders[stage])
        names = ["code.sh", "code.py"] if stage == "code" else [programs[stage].program]
        text = "".join((FILES / "steps" / name).read_text() for name in names)
        assert name.strip("/") in text
        assert ".new" in text


@pytest.mark.parametrize("early", [False, True])
def test_rabbitmq_starts_with_a_new_database(tmp_path: Path, early: bool) -> None:
    """steps/rabbitmq.sh: the old one may be incomplete, and nothing has used it."""
    script = file("steps/rabbitmq.sh").read_text()
    for place, here in (("/run/stackserve-rabbitmq", "early"), ("/var/lib/rabbitmq", "rabbitmq")):
        assert place in script
        script = script.replace(place, str(tmp_path / here))
    program(tmp_path / "rabbitmq.sh", script)
    database = tmp_path / "rabbitmq" / "mnesia"
    database.mkdir(parents=True)
    if early:
        (tmp_path / "early").touch()
    program(tmp_path / "account.py", "true")
    program(tmp_path / "systemctl", f'echo "$1 $(ls {tmp_path}/rabbitmq)" >> {tmp_path}/asked')
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CUT_OFF": "yes"}
    subprocess.run(["sh", str(tmp_path / "rabbitmq.sh")], env=environment, check=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.strip() for line in asked] == ["stop mnesia", "enable", "restart"]


@pytest.mark.parametrize("trusted", [False, True])
def test_python_packages_are_installed_again_without_their_stamp(
    tmp_path: Path, trusted: bool
) -> None:
    """steps/dependencies.sh: neither uv nor its cache is used from an attempt that was cut off."""
    script = (FILES / "steps" / "dependencies.sh").read_text().replace("/opt", str(tmp_path))
    program(tmp_path / "dependencies.sh", script)
    home = tmp_path / "stackserve"
    for name in ("bin", "cache", "venv", "app/production_server"):
        (home / name).mkdir(parents=True)
    (home / "app" / "production_server" / "requirements.txt").write_text("keras\n")
    stamp = subprocess.run(["sha256sum"], input=b"keras\n", capture_output=True, check=True).stdout
    name = "stackserve-lock" if trusted else "stackserve-lock.new"
    (home / "venv" / name).write_bytes(stamp)
    program(home / "bin" / "uv", "exit 1  # cut short")
    (home / "cache" / "half").touch()
    fetched = f"printf '#!/bin/sh\\necho $(ls {home}/cache) >> {tmp_path}/ran\\n' > $2"
    program(tmp_path / "python3", f"[ $1 = -c ] || {{ {fetched}; chmod +x $2; }}")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", str(tmp_path / "dependencies.sh")], env=environment, check=True)
    assert (home / "cache").exists() is trusted
    if not trusted:
        # It made the environment and installed into it, with an empty cache.
        assert (tmp_path / "ran").read_text() == "\n\n"
        assert (home / "venv" / "stackserve-lock.new").read_bytes() == stamp
        assert not (home / "venv" / "stackserve-lock").exists()


class TestBoot:
    """The script in bootcmd, which runs at each boot."""

    @pytest.fixture(autouse=True)
    def _script(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.sem = tmp_path / "sem"
        self.sem.mkdir()
        (tmp_path / "etc").mkdir()
        (script,) = yaml.safe_load(golden_text(GOLDEN / "server.json"))["bootcmd"]
        for place, here in (
            ("/etc/stackserve", "etc"),
            ("/var/lib/cloud/instance/sem", "sem"),
            ("/run/stackserve-again", "again"),
            ("/dev/console", "console"),
        ):
            assert place in script
            script = script.replace(place, str(tmp_path / here))
        self.script = script
        program(tmp_path / "systemd-run", f'echo "$@" >> {tmp_path}/asked')

    def boot(self, *semaphores: str) -> str:
        """Run it, with these semaphores of cloud-init. Return what it started."""
        for name in semaphores:
            (self.sem / name).touch()
        environment = {"PATH": f"{self.folder}:{os.environ['PATH']}"}
        subprocess.run(["sh", "-c", self.script], env=environment, check=True)
        asked = self.folder / "asked"
        return asked.read_text() if asked.exists() else ""

    def test_the_first_boot_starts_the_installation(self) -> None:
        asked = self.boot("config_seed_random")
        assert "After=cloud-init.service" in asked
        assert "systemctl start --no-block contextualize.service" in asked
        assert "daemon-reload" not in asked
        console = (self.folder / "console").read_text()
        assert re.fullmatch(r"STACKSERVE stage=booting state=begin t=[\d.]+\n", console)
        assert not (self.folder / "again").exists()

    @pytest.mark.parametrize("begun", [False, True])
    def test_the_next_one_lets_cloud_init_repeat_its_part(self, begun: bool) -> None:
        if begun:
            (self.folder / "etc" / "begun").touch()
        ours = ["write_files", "users_groups", "apt_configure", "runcmd", "scripts_user"]
        others = {"config_seed_random", "config_scripts_vendor"}
        asked = self.boot("config_ssh", *others, *(f"config_{name}" for name in ours))
        # Units may have been incomplete when this boot read them.
        assert "daemon-reload && systemctl start --no-block contextualize.service" in asked
        # systemd would write it to the transient unit as \\;, and log an unknown escape sequence.
        assert ";" not in asked
        # New host keys only if nobody can know the old ones.
        kept = {"config_ssh"} if begun else set()
        assert {path.name for path in self.sem.iterdir()} == others | kept
        assert (self.folder / "again").exists()

    def test_a_complete_installation_is_left_alone(self) -> None:
        (self.folder / "etc" / "contextualized").touch()
        assert self.boot("config_write_files", "config_ssh") == ""
        assert len(list(self.sem.iterdir())) == 2
        assert not (self.folder / "console").exists()

    def test_it_needs_no_other_program_then(self) -> None:
        """It costs nothing: the shell itself decides."""
        (self.folder / "etc" / "contextualized").touch()
        done = subprocess.run(
            ["/bin/sh", "-c", self.script], env={"PATH": "/nonexistent"}, check=False
        )
        assert done.returncode == 0
        assert not (self.folder / "asked").exists()
