"""steps/sources.py: the package sources of each system's images, and the mirrors in them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cloud_init.steps import load

MIRROR = "https://mirror.example/archive"
SECURITY = "https://mirror.example/security"
PROGRAM: Any = load("steps/sources.py")

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n'
JAMMY = 'NAME="Ubuntu"\nVERSION_ID="22.04"\nVERSION_CODENAME=jammy\nID=ubuntu\nID_LIKE=debian\n'
NOBLE = 'NAME="Ubuntu"\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n'

# From mmdebstrap and debootstrap.
DEBIAN_LIST = """\
deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian bookworm-updates main contrib # a note
deb-src http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian-security bookworm-security main
"""
# From Debian's official cloud images: the addresses are in separate files.
DEBIAN_SOURCES = """\
Types: deb deb-src
URIs: mirror+file:///etc/apt/mirrors/debian.list
Suites: bookworm bookworm-updates bookworm-backports
Components: main

Types: deb deb-src
URIs: mirror+file:///etc/apt/mirrors/debian-security.list
Suites: bookworm-security
Components: main
"""
JAMMY_LIST = """\
## See the release notes.
deb http://nova.clouds.archive.ubuntu.com/ubuntu/ jammy main restricted
# deb-src http://nova.clouds.archive.ubuntu.com/ubuntu/ jammy main restricted
deb http://nova.clouds.archive.ubuntu.com/ubuntu/ jammy-updates universe main
deb http://security.ubuntu.com/ubuntu jammy-security main restricted
"""
NOBLE_SOURCES = """\
# Ubuntu sources have moved to this file.
#
## Types: the following

Types: deb
URIs: http://archive.ubuntu.com/ubuntu/
Suites: noble noble-updates noble-backports
Components: main universe restricted multiverse
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg

Types: deb
URIs: http://security.ubuntu.com/ubuntu/
Suites: noble-security
Components: main universe restricted multiverse
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
"""
OTHERS_LIST = """\
deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.gpg] https://docker.example/linux bookworm stable
deb [signed-by=/etc/apt/keyrings/tools.gpg] https://tools.example bookworm main
deb https://pgdg.example bookworm-pgdg main
deb http://deb.debian.org/debian trixie main
deb [trusted=yes] file:/srv/packages ./
"""
OTHERS_SOURCES = """\
Types: deb
URIs: https://tools.example
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 Suites: none
 -----END PGP PUBLIC KEY BLOCK-----
"""

# system, file, text -> the addresses with both mirrors
IMAGES: dict[str, tuple[str, str, str, list[str]]] = {
    "Debian, one line": (DEBIAN, "sources.list", DEBIAN_LIST, [MIRROR, MIRROR, MIRROR, SECURITY]),
    "Debian, official": (
        DEBIAN,
        "sources.list.d/debian.sources",
        DEBIAN_SOURCES,
        [MIRROR, SECURITY],
    ),
    "Ubuntu 22.04": (JAMMY, "sources.list", JAMMY_LIST, [MIRROR, MIRROR, SECURITY]),
    "Ubuntu 24.04": (NOBLE, "sources.list.d/ubuntu.sources", NOBLE_SOURCES, [MIRROR, SECURITY]),
}
each_image = pytest.mark.parametrize("name", IMAGES)


class Machine:
    """A folder that stands in for /etc/apt, and an os-release."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.apt = folder / "apt"
        (self.apt / "sources.list.d").mkdir(parents=True)
        self.system = folder / "os-release"
        self.monkeypatch = monkeypatch
        monkeypatch.setattr(PROGRAM, "APT", self.apt)
        monkeypatch.setattr(PROGRAM, "SYSTEM", self.system)

    def become(self, system: str, file: str, text: str) -> Path:
        self.system.write_text(system)
        (self.apt / file).write_text(text)
        return self.apt / file

    def point(self, archive: str = MIRROR, security: str = SECURITY) -> None:
        self.monkeypatch.setenv("APT_MIRROR", archive)
        self.monkeypatch.setenv("APT_SECURITY_MIRROR", security)
        PROGRAM.main()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def addresses(text: str) -> list[str]:
    """The addresses of all active sources, in order."""
    found = []
    for line in text.splitlines():
        if line.startswith("URIs:"):
            found.append(line.split()[1])
        elif line.startswith("deb"):
            found.append(next(word for word in line.split() if ":/" in word))
    return found


@each_image
def test_every_source_of_the_image_uses_the_mirrors(name: str, machine: Machine) -> None:
    system, file, text, expected = IMAGES[name]
    path = machine.become(system, file, text)
    machine.point()
    assert addresses(path.read_text()) == expected


@each_image
def test_only_the_addresses_change(name: str, machine: Machine) -> None:
    system, file, text, _ = IMAGES[name]
    path = machine.become(system, file, text)
    machine.point()
    changed = path.read_text()
    # The longer first, because one is a prefix of the other.
    for address in sorted([MIRROR, SECURITY, *addresses(text)], key=len, reverse=True):
        changed, text = changed.replace(address, "@"), text.replace(address, "@")
    assert changed == text


@each_image
def test_a_second_run_changes_nothing(name: str, machine: Machine) -> None:
    system, file, text, _ = IMAGES[name]
    path = machine.become(system, file, text)
    machine.point()
    once = path.read_text()
    machine.point()
    assert path.read_text() == once


@each_image
def test_apt_would_fetch_from_the_mirrors(
    name: str, machine: Machine, needs: Callable[[object, str], None]
) -> None:
    """Asks apt itself."""
    needs(shutil.which("apt-get"), "apt-get is missing: this is no Debian or Ubuntu")
    system, file, text, expected = IMAGES[name]
    machine.become(system, file, text)
    machine.point()
    done = subprocess.run(
        [
            "apt-get",
            "update",
            "--print-uris",
            "-o",
            f"Dir::Etc::sourcelist={machine.apt / 'sources.list'}",
            "-o",
            f"Dir::Etc::sourceparts={machine.apt / 'sources.list.d'}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    found = {line.split("'")[1].rsplit("/dists/")[0] for line in done.stdout.splitlines()}
    assert found == set(expected)


def test_third_party_sources_stay(machine: Machine) -> None:
    machine.become(DEBIAN, "sources.list", DEBIAN_LIST)
    lines = machine.become(DEBIAN, "sources.list.d/others.list", OTHERS_LIST)
    stanzas = machine.become(DEBIAN, "sources.list.d/others.sources", OTHERS_SOURCES)
    machine.point()
    assert lines.read_text() == OTHERS_LIST
    assert stanzas.read_text() == OTHERS_SOURCES


def test_debians_archive_has_no_security_updates(machine: Machine) -> None:
    path = machine.become(DEBIAN, "sources.list", DEBIAN_LIST)
    machine.point(security="")
    assert addresses(path.read_text())[-1] == "http://deb.debian.org/debian-security"


def test_ubuntus_archive_has_them(machine: Machine) -> None:
    path = machine.become(NOBLE, "sources.list.d/ubuntu.sources", NOBLE_SOURCES)
    machine.point(security="")
    assert addresses(path.read_text()) == [MIRROR, MIRROR]


def test_a_security_mirror_alone(machine: Machine) -> None:
    path = machine.become(DEBIAN, "sources.list", DEBIAN_LIST)
    machine.point(archive="")
    assert addresses(path.read_text()) == ["http://deb.debian.org/debian"] * 3 + [SECURITY]


def test_reports_an_image_without_sources_of_its_system(machine: Machine) -> None:
    machine.become(DEBIAN, "sources.list", OTHERS_LIST)
    with pytest.raises(SystemExit, match="has no package source of debian bookworm"):
        machine.point()
