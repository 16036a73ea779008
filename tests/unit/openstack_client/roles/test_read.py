"""role.toml: our own roles, a minimal one, and a clear error for each mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from openstack_client.errors import SettingsError
from openstack_client.roles import Ask, Port, Watched, Who, find, names, ours, read
from openstack_client.roles.read import COMMON_FILES

MINIMAL = """\
purpose = "A page."
flavor = { ram_mb = 512, disk_gb = 3 }
ports = [{ port = 80, who = "users" }]
steps = ["booting", "page"]
step.page = { program = "page.sh", after = ["booting"] }
ready = { ask = "page" }
"""
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a role.toml into a folder that has the other files."""

    def write(text: str) -> Path:
        folder = tmp_path / "mine"
        folder.mkdir()
        for name in ("user-data.yaml.j2", "page.sh"):
            (folder / name).write_text("")
        (folder / "role.toml").write_text(text)
        return folder

    return write


@pytest.mark.parametrize("name", names())
def test_our_roles_are_complete(name: str) -> None:
    role = ours(name)
    assert role.name == name and role.purpose.endswith(".")
    assert role.stages[0] == "booting"
    assert Port(port=22, who=Who.OPERATORS if role.floating_ip else Who.FRONT) in role.ports
    done: set[str] = set()
    for stage, step in role.in_order:
        assert done.issuperset(step.after), f"{stage} comes before {step.after}"
        done.add(stage)


def test_a_persons_own_folder(write: Write) -> None:
    role = read(write(MINIMAL))
    assert (role.name, role.stages, role.port) == ("mine", ("booting", "page"), 80)
    assert role.steps["booting"].program == "steps/host.sh"
    assert role.steps["page"].limit == 1800
    assert role.floating_ip and not role.code and not role.baked_image


def test_a_role_is_found_by_its_folder_or_our_name(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find("server") is ours("server")
    folder = write(MINIMAL)
    assert find(str(folder)) == read(folder)
    folder.rename(folder.with_name("server"))
    monkeypatch.chdir(folder.parent)
    assert find("server").purpose == "A page."


def test_what_is_watched_survives_the_metadata() -> None:
    for name in names():
        watched = ours(name).watched
        values = watched.as_metadata()
        assert all(len(value) <= 255 for value in values.values())
        assert Watched.from_metadata(values) == watched
    assert Watched.from_metadata({"stackserve_role": "server"}) is None
    assert ours("server").watched.ask is Ask.PREDICTION


def edited(old: str, new: str) -> str:
    assert old in MINIMAL
    return MINIMAL.replace(old, new)


MISTAKES = {
    "not TOML": ("purpose =\n", ["is not valid TOML", "line 1"]),
    "a typo": (MINIMAL + "flaovr = 1\n", ["flaovr: unknown key. Did you mean flavor?"]),
    "no way for its code": (
        "code = true\n" + MINIMAL,
        ["code = true needs port 22: the launcher sends the code over ssh"],
    ),
    "a key is missing": (edited('purpose = "A page."\n', ""), ["purpose: is required."]),
    "a wrong type": (edited("512", '"much"'), ["flavor.ram_mb: Input should be a valid integer"]),
    "an unknown step": (
        edited('"page"]\n', '"pgae"]\n'),
        ["steps: 'pgae' is unknown. Define [step.pgae]", "step.page: is not in the list"],
    ),
    "steps are no list": (edited('["booting", "page"]', '"page"'), ["steps: must be a list"]),
    "a name that the console cannot show": (
        edited('"page"]', '"my_page"]').replace("step.page", "step.my_page"),
        ["step.my_page", "should match pattern"],
    ),
    "after a step it does not have": (
        edited('after = ["booting"]', 'after = ["packages"]'),
        ["step 'page' comes after packages, which is not one of its steps"],
    ),
    "a circle": (
        edited('after = ["booting"]', 'after = ["page"]'),
        ["these steps wait for each other: page -> page"],
    ),
    "no program": (edited("page.sh", "gone.sh"), ["step.page.program: there is no gone.sh in "]),
    "booting is not first": (
        edited('["booting", "page"]', '["page", "booting"]'),
        ['the first step must be "booting"'],
    ),
    "nobody may see the page": (
        edited("users", "operators"),
        ["ready.ask = 'page' needs a port for users"],
    ),
    "an unknown group of people": (
        edited('"users"', '"friends"'),
        ["ports.0.who", "'users', 'operators'"],
    ),
    "too many units": (
        MINIMAL + "[units]\n" + "".join(f'unit{n} = "a-long-unit-name"\n' for n in range(20)),
        ["longer than the 255 characters"],
    ),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_with_file_and_key(write: Write, text: str, words: list[str]) -> None:
    folder = write(text)
    with pytest.raises(SettingsError) as raised:
        read(folder)
    shown = str(raised.value)
    for expected in [str(folder / "role.toml"), *words]:
        assert expected in shown
    assert "docs/roles.md" in shown


def test_a_folder_without_a_role(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"There is no .*/role\.toml") as raised:
        find(str(tmp_path))
    assert "server" in raised.value.remedy and "worker" in raised.value.remedy


def test_the_template_must_exist(write: Write) -> None:
    folder = write(MINIMAL)
    (folder / "user-data.yaml.j2").unlink()
    with pytest.raises(SettingsError, match=r"user-data\.yaml\.j2: is missing"):
        read(folder)


def test_no_file_is_both_shared_and_a_roles_own() -> None:
    for name in names():
        folder = ours(name).folder
        own = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        assert [path for path in own if (COMMON_FILES / path).exists()] == []
