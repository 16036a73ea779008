"""The ssh key: how it is chosen, its file mode, and never a different key under the same name."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from openstack_client.cloud.resources import Keypair
from openstack_client.errors import Problem
from openstack_client.plan import keypair
from openstack_client.plan.keypair import KeyPlan


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    folder = tmp_path / "ssh"
    folder.mkdir()
    return folder


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "config"


def plan(ssh: Path, kept: Path, *pairs: Keypair, wanted: str | None = None) -> KeyPlan | Problem:
    return keypair.plan_key(
        wanted, "web", pairs, project_id="0123456789", ssh_folder=ssh, folder=kept
    )


def test_only_the_owner_can_read_a_generated_key(tmp_path: Path) -> None:
    private = tmp_path / "keys" / "web"
    line = keypair.generate(private)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700
    assert line.startswith("ssh-ed25519 ") and "PRIVATE" not in line
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(private)], capture_output=True, text=True, check=True
    )
    assert keypair.body(shown.stdout) == keypair.body(line)
    shown = subprocess.run(
        ["ssh-keygen", "-lf", f"{private}.pub"], capture_output=True, text=True, check=True
    )
    assert keypair.fingerprint(line) in shown.stdout


def test_without_any_key_a_new_one_is_generated(ssh: Path, kept: Path) -> None:
    made = plan(ssh, kept)
    assert made == KeyPlan(
        "stackserve-web-01234567",
        create=True,
        generate=True,
        private=kept / "keys" / "web",
        why="new",
    )


def test_a_key_of_this_machine_is_preferred(ssh: Path, kept: Path) -> None:
    keypair.generate(ssh / "id_rsa")
    keypair.generate(ssh / "id_ed25519")
    made = plan(ssh, kept)
    assert isinstance(made, KeyPlan)
    assert made.create and not made.generate and made.private == ssh / "id_ed25519"


def test_a_public_key_without_its_private_key_is_skipped(ssh: Path, kept: Path) -> None:
    keypair.generate(ssh / "id_ed25519")
    (ssh / "id_ed25519").unlink()
    made = plan(ssh, kept)
    assert isinstance(made, KeyPlan) and made.generate


def test_a_second_run_finds_the_key_of_the_first(ssh: Path, kept: Path) -> None:
    line = keypair.generate(kept / "keys" / "web")
    keypair.generate(ssh / "id_ed25519")
    found = plan(ssh, kept, Keypair("stackserve-web-01234567", line))
    assert isinstance(found, KeyPlan)
    assert not found.create and found.private == kept / "keys" / "web"


def test_another_key_under_the_same_name_is_refused(ssh: Path, kept: Path) -> None:
    keypair.generate(ssh / "id_ed25519")
    other = keypair.generate(kept / "other")
    problem = plan(ssh, kept, Keypair("stackserve-web-01234567", other))
    assert isinstance(problem, Problem)
    assert "'stackserve-web-01234567' exists with a different key" in problem.what
    assert keypair.fingerprint(other) in problem.what
    assert "openstack keypair delete stackserve-web-01234567" in problem.remedy


def test_the_same_key_under_another_file_is_found(ssh: Path, kept: Path) -> None:
    line = keypair.generate(ssh / "work")
    keypair.generate(ssh / "id_ed25519")
    found = plan(ssh, kept, Keypair("stackserve-web-01234567", line))
    assert isinstance(found, KeyPlan) and found.private == ssh / "work"


def test_a_keypair_without_its_private_key_is_refused(ssh: Path, kept: Path) -> None:
    line = keypair.generate(kept / "x")
    problem = plan(ssh, kept, Keypair("stackserve-web-01234567", line))
    assert isinstance(problem, Problem) and "its private key is not on this machine" in problem.what


def test_a_named_keypair_of_nova(ssh: Path, kept: Path) -> None:
    line = keypair.generate(ssh / "work")
    found = plan(ssh, kept, Keypair("mine", line), wanted="mine")
    assert found == KeyPlan("mine", private=ssh / "work", why="as requested")


def test_an_unknown_keypair_suggests_the_nearest(ssh: Path, kept: Path) -> None:
    problem = plan(ssh, kept, Keypair("laptop", "x"), wanted="laptob")
    assert isinstance(problem, Problem) and "Did you mean 'laptop'?" in problem.remedy


@pytest.mark.parametrize("suffix", ["", ".pub"])
def test_a_key_by_path(ssh: Path, kept: Path, suffix: str) -> None:
    line = keypair.generate(ssh / "work")
    found = plan(ssh, kept, wanted=f"{ssh}/work{suffix}")
    assert isinstance(found, KeyPlan)
    assert found.create and found.public == line and found.private == ssh / "work"


def test_a_path_that_is_not_a_key(ssh: Path, kept: Path) -> None:
    problem = plan(ssh, kept, wanted=str(ssh / "none.pub"))
    assert isinstance(problem, Problem) and "is not a public key file" in problem.what


def test_the_body_of_a_key() -> None:
    assert keypair.body("ssh-ed25519 AAAA me@host") == "AAAA"
    assert keypair.body('from="10.0.0.0/8" ssh-rsa BBBB') == "BBBB"
    assert keypair.body("nonsense") == ""
