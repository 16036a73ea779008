"""packages.sh: what it installs, and what it installs again after a reset."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.cloud_init.steps import FILES
from tests.unit.cloud_init.test_cut_off import program

HAD = {"bash": "5.2", "libssl3": "3.0.1", "zlib1g": "1.2"}


class Machine:
    """packages.sh in a temporary folder, with a dpkg-query that reads a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script = (FILES / "steps" / "packages.sh").read_text()
        for place in (
            "/etc/stackserve",
            "/var/lib/dpkg/updates",
            "/var/lib/apt/lists",
            "/var/cache/apt",
            "/etc/systemd/system",
        ):
            assert place in script
            (folder / Path(place).name).mkdir()
            script = script.replace(place, str(folder / Path(place).name))
        self.etc = folder / "stackserve"
        (folder / "packages.sh").write_text(script)
        self.services = folder / "services"
        program(folder / "systemctl", f'echo "$@" >> {self.services}')
        for name in ("apt-get", "dpkg", "sync"):
            program(folder / name, f'echo {name} "$@" >> {folder}/asked\n. {folder}/{name}-does')
            (folder / f"{name}-does").touch()
        program(
            folder / "dpkg-query",
            f"for last; do :; done; case $last in *Package*) cat {folder}/status;;\n"
            f'*) grep "^$last\t" {folder}/status | cut -f 3;; esac',
        )
        self.status(HAD)

    def status(self, versions: dict[str, str], **states: str) -> None:
        lines = [
            f"{name}\t{version}\t{states.get(name.replace('-', '_'), 'installed')}\n"
            for name, version in versions.items()
        ]
        (self.folder / "status").write_text("".join(reversed(lines)))

    def run(self, extra: str = "", packages: str = "rabbitmq-server") -> list[str]:
        """The commands that change something."""
        (self.folder / "asked").unlink(missing_ok=True)
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "EXTRA_PACKAGES": f"{extra} {packages}",
            "PYTHON_IS_OLD": "",
        }
        subprocess.run(["sh", str(self.folder / "packages.sh")], env=environment, check=True)
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def installs(self, *arguments: str) -> list[str]:
        """The same, of the one line that installs: its last words."""
        (line,) = [line for line in self.run(*arguments) if " install " in line]
        return line.partition("recommends ")[2].split()

    @property
    def stamp(self) -> Path:
        return self.etc / "packages-installed"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_only_what_is_missing_is_installed(machine: Machine) -> None:
    assert machine.installs("bash tree") == ["install", "tree", "rabbitmq-server"]
    assert machine.stamp.with_suffix(".new").exists()


def test_nothing_missing_and_nothing_cut_off(machine: Machine) -> None:
    assert machine.run("bash", "") == []
    assert not list(machine.etc.iterdir())


def test_what_there_was_is_on_the_disk_before_the_first_change(machine: Machine) -> None:
    asked = machine.run()
    names = [line.split()[0] for line in asked]
    assert names[:3] == ["sync", "sync", "apt-get"]
    before = (machine.etc / "packages-before").read_text()
    assert before == "".join(f"{name}\t{HAD[name]}\tinstalled\n" for name in sorted(HAD))


def cut_off(machine: Machine) -> None:
    """It was reset after one package was upgraded, one installed, and one only unpacked."""
    machine.run()
    machine.stamp.with_suffix(".new").unlink()
    now = HAD | {"libssl3": "3.0.2", "erlang-base": "25", "rabbitmq-server": "3.10", "old": "1"}
    machine.status(now, rabbitmq_server="unpacked", old="config-files")


def test_after_a_reset_everything_that_changed_is_installed_again(machine: Machine) -> None:
    cut_off(machine)
    (machine.folder / "lists" / "half").touch()
    before = (machine.etc / "packages-before").read_text()
    asked = machine.run("tree=2")
    # Downloads may be incomplete, and apt refuses to work until dpkg has read its journal.
    assert asked[0].endswith("clean")
    assert not list((machine.folder / "lists").iterdir())
    assert [line.split()[0] for line in asked] == ["apt-get", "apt-get", "dpkg", "apt-get"]
    assert asked[2] == "dpkg --configure --force-confold -a"
    again = ["erlang-base", "libssl3", "rabbitmq-server"]
    expected = ["--reinstall", "install", *again, "tree=2", "rabbitmq-server"]
    assert asked[3].partition("recommends ")[2].split() == expected
    # If it is reset once more, the list is still that of the first attempt.
    assert (machine.etc / "packages-before").read_text() == before


def test_they_are_installed_again_even_if_dpkg_knows_them_as_installed(machine: Machine) -> None:
    cut_off(machine)
    machine.status(HAD | {"rabbitmq-server": "3.10"})
    assert machine.installs() == ["--reinstall", "install", "rabbitmq-server", "rabbitmq-server"]


def test_with_the_stamp_they_are_on_the_disk(machine: Machine) -> None:
    cut_off(machine)
    machine.status(HAD | {"rabbitmq-server": "3.10"})
    machine.stamp.touch()
    assert machine.run() == []


def test_a_failure_to_configure_them_does_not_stop_it(machine: Machine) -> None:
    cut_off(machine)
    program(machine.folder / "dpkg", "exit 1")
    assert "rabbitmq-server" in machine.installs()


def test_another_program_s_installation_was_cut_off(machine: Machine) -> None:
    (machine.folder / "updates" / "0001").touch()
    asked = machine.run()
    assert "dpkg --configure --force-confold -a" in asked
    assert "--reinstall" not in asked[-1]


def test_services_start_after_apt_has_ended_and_rabbitmq_even_later(machine: Machine) -> None:
    """Each package would make systemd reload all units, and start its own at once."""
    wants = machine.folder / "system" / "multi-user.target.wants"
    wants.mkdir()
    (wants / "old.service").symlink_to("/lib/systemd/system/old.service")
    # In the past, because what is enabled now has to be newer.
    os.utime(wants / "old.service", (1, 1), follow_symlinks=False)
    (machine.folder / "apt-get-does").write_text(
        f'systemctl "offline=${{SYSTEMD_OFFLINE-}}"\ncase "$*" in *install*) sleep 0.05\n'
        f"for unit in rabbitmq-server.service epmd.socket stackserve-web.service nginx.service\n"
        f"do ln -s /lib/systemd/system/$unit {wants}/$unit; done ;; esac\n"
    )
    machine.run("nginx")
    updates, installs, *started = machine.services.read_text().splitlines()[1:]
    assert (updates, installs) == ("offline=", "offline=1")
    assert started == ["start --no-block nginx.service"]
