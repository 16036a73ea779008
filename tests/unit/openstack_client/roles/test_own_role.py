"""A role of one's own, from its folder to user data and plan."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from openstack_client.errors import Problem, SettingsError
from openstack_client.plan import make
from openstack_client.plan.model import Parcel
from openstack_client.roles import ours, read
from openstack_client.settings import Settings, read_file
from openstack_client.userdata import cloud_init_schema
from tests.support.documents import ROOT
from tests.support.own_role import copy_of_hello

LONGEST_EXAMPLE = 40


def parcel(folder: Path) -> Parcel | list[Problem]:
    settings = Settings(name="web", role=str(folder))
    return make.parcel(settings, make.deployed_role(settings))


def config_of(folder: Path) -> str:
    made = parcel(folder)
    assert isinstance(made, Parcel), made
    return gzip.decompress(made.data).decode()


def test_the_example_is_short() -> None:
    files = [path for path in ours("hello").folder.iterdir() if path.is_file()]
    assert sum(len(path.read_text().splitlines()) for path in files) < LONGEST_EXAMPLE


def test_the_guide_shows_the_example_as_it_is() -> None:
    guide = (ROOT / "docs" / "roles.md").read_text()
    for name in ("role.toml", "user-data.yaml.j2", "page.sh"):
        assert f"\n{(ours('hello').folder / name).read_text()}```" in guide


def test_it_writes_its_own_files_and_those_that_it_names(tmp_path: Path) -> None:
    own = copy_of_hello(tmp_path, "mine")
    config = yaml.safe_load(config_of(own))
    files = {file["path"]: file for file in config["write_files"]}
    assert files["/var/www/html/index.html"]["content"] == (own / "index.html").read_text()
    programs = "/opt/stackserve/contextualize"
    for name in ("contextualize.py", "host.sh", "packages.sh", "page.sh"):
        assert files[f"{programs}/{name}"]["permissions"] == "0755"
    settings = files[f"{programs}/settings.env"]["content"]
    assert "ROLE=mine\n" in settings and "EXTRA_PACKAGES=nginx-light\n" in settings
    # Nothing of the service: neither its code nor its settings.
    assert "PAYLOAD" not in settings and "/etc/stackserve/settings.env" not in files


def test_cloud_init_accepts_the_example(
    tmp_path: Path, needs: Callable[[object, str], None]
) -> None:
    problems = cloud_init_schema(config_of(copy_of_hello(tmp_path, "mine")))
    needs(problems is not None, "cloud-init is not installed: apt-get install cloud-init")
    assert problems == []


def test_it_has_no_code_to_deliver_and_its_files_are_its_version(tmp_path: Path) -> None:
    first, same = copy_of_hello(tmp_path, "a"), copy_of_hello(tmp_path, "b")
    other = copy_of_hello(tmp_path, "c", index_html=("Hello", "Bye"))
    made = [parcel(folder) for folder in (first, same, other)]
    parcels = [each for each in made if isinstance(each, Parcel)]
    assert len(parcels) == 3
    assert all(each.payload == b"" for each in parcels)
    assert parcels[0].code_hash == parcels[1].code_hash != parcels[2].code_hash


def test_a_role_with_our_code_gets_it_over_ssh(tmp_path: Path) -> None:
    steps = ('"packages", "page"]', '"packages", "code", "page"]\ncode = true')
    own = copy_of_hello(tmp_path, "mine", role_toml=steps)
    written = [file["path"] for file in yaml.safe_load(config_of(own))["write_files"]]
    programs = [f"/opt/stackserve/contextualize/{name}" for name in ("code.sh", "code.py")]
    assert {*programs, "/usr/local/sbin/stackserve-deliver"} <= set(written)
    assert len(written) == len(set(written))


def test_any_cloud_config_may_be_in_its_template(tmp_path: Path) -> None:
    line = "#cloud-config\n"
    own = copy_of_hello(tmp_path, "mine", **{"user-data.yaml.j2": (line, f"{line}locale: C\n")})
    assert "locale: C\n" in config_of(own)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{{ parts", "{{ nothing", "user-data.yaml.j2, line 3: 'nothing' is undefined"),
        ("{{ parts", "{{ parts(", "user-data.yaml.j2, line 3: "),
        (
            '("/var/www/html/index.html", ',
            "(",
            "user-data.yaml.j2, line 4: parameter 'name' was not",
        ),
        ('"index.html"', '"gone.html"', "gone.html"),
        ("#cloud-config", "# cloud-config", "first line: must be exactly #cloud-config"),
        ("/var/www/html/index.html", "var/www", "write_files"),
    ],
)
def test_a_mistake_in_its_template(tmp_path: Path, old: str, new: str, words: str) -> None:
    own = copy_of_hello(tmp_path, "mine", **{"user-data.yaml.j2": (old, new)})
    problems = parcel(own)
    assert isinstance(problems, list)
    assert words in " ".join(map(str, problems))


def test_user_data_that_is_too_large(tmp_path: Path) -> None:
    own = copy_of_hello(tmp_path, "mine")
    noise = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(40000))
    (own / "index.html").write_text(noise)
    problems = parcel(own)
    assert isinstance(problems, list)
    assert "Nova accepts at most 49,149" in " ".join(map(str, problems))


@pytest.mark.parametrize(("name", "why"), [("worker", "another server"), ("image", "`bake`")])
def test_roles_that_cannot_be_deployed(name: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        make.deployed_role(Settings(role=name))


def test_the_default_is_the_whole_service() -> None:
    assert make.deployed_role(Settings()) is ours("server")


def test_a_path_in_the_settings_file_is_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = copy_of_hello(tmp_path, "mine")
    monkeypatch.chdir("/")
    for value, expected in (("mine", str(own)), ("server", "server")):
        (tmp_path / "deployment.toml").write_text(f'role = "{value}"\n')
        assert read_file(tmp_path / "deployment.toml")["role"] == expected
    assert read(own).name == "mine"
