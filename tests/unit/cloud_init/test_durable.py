"""What is written so that a reset cannot damage it: secrets, the delivered code, certificates."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.cloud_init.steps import FILES, file, load
from tests.unit.cloud_init.test_cut_off import program

AUTHORITIES = "-----BEGIN CERTIFICATE-----\nthe system's\n-----END CERTIFICATE-----\n"


def test_a_file_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = load("steps/private.py")
    path = tmp_path / "server.env"
    path.write_text("old")
    synced: list[tuple[str, str]] = []

    def fsync(handle: int) -> None:
        synced.append((Path(f"/proc/self/fd/{handle}").readlink().name, path.read_text()))

    monkeypatch.setattr(private.os, "fsync", fsync)
    monkeypatch.setattr(private.shutil, "chown", lambda *_: None)
    private.write(path, "new", "root")
    assert synced == [("server.env.new", "old"), (tmp_path.name, "new")]


class TestBundle:
    """The launcher's certificates in the bundle of certificate authorities."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.bundle = tmp_path / "ca-certificates.crt"
        self.bundle.write_text(AUTHORITIES)
        script = (FILES / "steps" / "host.sh").read_text()
        part = re.search(r"^bundle=.*?^fi\n", script, re.MULTILINE | re.DOTALL)
        assert part
        self.add = self.here(f"set -eu\n{part[0]}")
        script = file("steps/forget.sh").read_text()
        part = re.search(r"^sed -i [^\n]*ca-certificates.crt\n.*?\n\[[^\n]*\n", script, re.M | re.S)
        assert part
        self.clean = self.here(f"set -eu\n{part[0]}")

    def here(self, script: str) -> str:
        for place in ("/etc/ssl/certs", "/usr/local/share/ca-certificates"):
            assert place in script
            script = script.replace(place, str(self.folder))
        return script

    def run(self, script: str) -> None:
        environment = {"PATH": f"{self.folder}:{os.environ['PATH']}"}
        subprocess.run(["sh", "-c", script], env=environment, check=True)

    def give(self, *certificates: str) -> None:
        for number, text in enumerate(certificates, 1):
            (self.folder / f"stackserve-{number}.crt").write_text(f"{text}\n")

    def test_they_are_added_once_however_often_it_runs(self) -> None:
        self.give("one", "two")
        self.run(self.add)
        once = self.bundle.read_text()
        assert once == f"{AUTHORITIES}# stackserve begin\none\ntwo\n# stackserve end\n"
        self.run(self.add)
        assert self.bundle.read_text() == once

    def test_none_given(self) -> None:
        self.run(self.add)
        assert self.bundle.read_text() == AUTHORITIES

    def test_an_image_keeps_only_the_authorities_of_its_system(self) -> None:
        self.give("one")
        self.run(self.add)
        # A package has added an authority of its own since.
        with self.bundle.open("a") as bundle:
            bundle.write("another\n")
        self.run(self.clean)
        assert self.bundle.read_text() == f"{AUTHORITIES}another\n"
        assert not list(self.folder.glob("*.crt.new")) and not list(self.folder.glob("stack*.crt"))

    def test_an_addition_that_was_cut_off_is_replaced(self) -> None:
        self.bundle.write_text(f"{AUTHORITIES}# stackserve begin\none, but not all of i")
        self.give("one")
        self.run(self.add)
        assert (
            self.bundle.read_text() == f"{AUTHORITIES}# stackserve begin\none\n# stackserve end\n"
        )

    def test_a_bundle_that_was_rebuilt_with_them_is_rebuilt_without(self) -> None:
        self.give("one")
        (self.folder / "stackserve-1.pem").symlink_to(self.folder / "stackserve-1.crt")
        program(self.folder / "update-ca-certificates", f"touch {self.folder}/rebuilt")
        self.run(self.clean)
        assert (self.folder / "rebuilt").exists()
