"""Commands are listed, completed and loaded one at a time."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from openstack_client import __version__
from openstack_client.cli import main, verbs
from openstack_client.cli.completion import PROGRAM, SHELLS, VARIABLE

ROOT = Path(__file__).resolve().parents[4]
# Slow imports, and the package that only `stackserve server` needs.
HEAVY = ("openstack", "keystoneauth1", "novaclient", "pydantic", "rich", "production_server")


@pytest.fixture
def with_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the wheel is installed."""
    server = EntryPoint("server", "production_server.cli:command", verbs.ADDED)

    def entry_points(*, group: str, name: str = "server") -> EntryPoints:
        assert group == verbs.ADDED
        return EntryPoints([server] if name == "server" else [])

    monkeypatch.setattr(verbs, "entry_points", entry_points)


@pytest.mark.parametrize("name", verbs.VERBS)
def test_the_list_matches_each_verbs_help(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None and command.name == name
    first = inspect.cleandoc(command.help or "").split("\n\n")[0]
    assert verbs.VERBS[name][1] == " ".join(first.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["completion", "bash"]])
def test_help_version_and_completion_import_no_client(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from openstack_client.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        f"print('imported:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("imported: []\n")


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"stackserve {__version__}\n"


@pytest.mark.usefixtures("with_the_server")
def test_help_lists_the_groups_of_installed_packages() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    assert "  server      Serve, train and manage the models of Stackserve." in shown
    shown = CliRunner().invoke(main, ["server", "--help"], prog_name="stackserve").output
    assert "Usage: stackserve server" in shown and "  train " in shown


@pytest.mark.usefixtures("with_the_server")
def test_an_error_in_an_added_group_is_one_line_with_a_remedy(tmp_path: Path) -> None:
    shown = ["server", "models", "show", "none", "--registry", str(tmp_path / "models")]
    ended = CliRunner().invoke(main, shown)
    assert ended.exit_code == 1
    assert ended.stderr.startswith("Error: ") and "Traceback" not in ended.stderr


def test_an_unknown_verb_is_named() -> None:
    ended = CliRunner().invoke(main, ["destroy"])
    assert ended.exit_code == 2 and "destroy" in ended.stderr


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.usefixtures("with_the_server")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("stackserve d", {"deploy", "delete"}),
        ("stackserve s", {"status", "ssh", "server", "scale"}),
        ("stackserve b", {"bake", "backup"}),
        ("stackserve au", {"autoscale"}),
        ("stackserve autoscale --on", {"--once"}),
        ("stackserve re", {"reap", "restore"}),
        ("stackserve restore --lo", {"--local"}),
        ("stackserve server mod", {"models"}),
        ("stackserve completion f", {"fish"}),
        ("stackserve deploy --recr", {"--recreate"}),
        ("stackserve --vers", {"--version"}),
    ],
)
def test_completion_answers_every_shell(
    shell: str, typed: str, offered: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = typed.split()
    monkeypatch.setenv(VARIABLE, f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words) - 1))
    shown = CliRunner().invoke(main, [], prog_name=PROGRAM)
    assert shown.exit_code == 0, shown.output
    lines = shown.output.split("\n")
    values = lines[1::3] if shell == "zsh" else [line.split(",", 1)[-1] for line in lines if line]
    assert {value.split("\t")[0] for value in values} == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_prints_the_script_of_a_shell(shell: str) -> None:
    shown = CliRunner().invoke(main, ["completion", shell])
    assert shown.exit_code == 0
    assert f"{VARIABLE}={shell}_complete" in shown.output and PROGRAM in shown.output
