"""The documentation is complete, its links work, and the commands it shows exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from openstack_client.cli import main as client
from openstack_client.settings import Settings as Deployment
from production_server.cli import group as server
from production_server.settings import Settings
from tests.support import command_lines
from tests.support.documents import (
    CODE_SPAN,
    CONTRIBUTING,
    GUIDES,
    LANGUAGES,
    LINK,
    PAGES,
    README,
    ROOT,
    anchors,
    blocks,
    label,
    prose,
    shown_commands,
)

LONGEST_README = 150
TEXT = "\n".join(page.read_text() for page in [README, *GUIDES, CONTRIBUTING])
FLAG = re.compile(r"--[a-z][a-z-]+")
# The declaration of an option, unless its help is suppressed.
OPTION = re.compile(r"(?:click\.option|add_argument)\(\s*\"(--[a-z][a-z-]+)\"(?!.*SUPPRESS)")
ROW = re.compile(r"^\| `([^`]+)` \|.*\| ([^|]*) \|$", re.MULTILINE)
# A path in the repository; after a colon, the name of something defined there.
PATH = re.compile(
    r"((?:openstack_client|production_server|cloud-init|scripts|tests|docs|\.github|\.ci)/[^\s:]*)(?::(\w+))?"
)


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if command is server:
            continue  # the installed launcher includes the server's commands
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield " ".join([*path, name]), command


def flags(group: click.Group) -> set[str]:
    return {
        option
        for _, command in commands(group)
        for parameter in command.params
        for option in parameter.opts + parameter.secondary_opts
        if FLAG.fullmatch(option) and not getattr(parameter, "hidden", False)
    }


def missing(names: set[str]) -> list[str]:
    """The names that do not appear in the documentation as separate words."""
    return sorted(n for n in names if not re.search(rf"(?<![\w-]){re.escape(n)}(?![\w-])", TEXT))


@pytest.mark.parametrize("group", [client, server], ids=["openstack_client", "production_server"])
def test_every_command_and_flag_is_documented(group: click.Group) -> None:
    assert missing({f"`{name}" for name, _ in commands(group)}) == []
    assert missing(flags(group)) == []


def test_every_server_setting_is_documented() -> None:
    assert missing({f"STACKSERVE_{name.upper()}" for name in Settings.model_fields}) == []


def test_every_deployment_setting_is_documented() -> None:
    assert missing({"--" + name.replace("_", "-") for name in Deployment.model_fields}) == []


@pytest.mark.parametrize(
    ("model", "spelled"),
    [
        (Deployment, lambda name: "--" + name.replace("_", "-")),
        (Settings, lambda name: f"STACKSERVE_{name.upper()}"),
    ],
    ids=["deployment", "server"],
)
def test_documented_defaults_are_correct(model: type[BaseModel], spelled: object) -> None:
    assert callable(spelled)
    documented = {name: value.strip("`") for name, value in ROW.findall(TEXT)}
    defaults = {
        spelled(name): field.default
        for name, field in model.model_fields.items()
        if isinstance(field.default, (int, float, str))
    }
    assert len(defaults) > 5
    for name, default in defaults.items():
        shown = default if isinstance(default, str) else f"{default:,.0f}"
        if isinstance(default, bool):
            shown = str(default).lower()
        assert documented[name].replace(",", "") == shown.replace(",", ""), name


def test_every_endpoint_is_documented() -> None:
    """Reads the routes from the code, to find those missing in the OpenAPI document too."""
    routes: set[str] = set()
    for path in sorted((ROOT / "production_server" / "web").rglob("*.py")):
        text = path.read_text()
        routes |= set(re.findall(r"@\w+\.(?:get|post|delete|route)\(\"(/[^\"]*)\"", text))
    routes = {re.sub(r"<(?:\w+:)?\w+>", "ID", route) for route in routes} | {"/predict"}
    assert len(routes) > 10
    assert missing({f"{route}`" for route in routes - {"/"}}) == []


def test_every_flag_of_the_scripts_is_documented() -> None:
    found: set[str] = set()
    for path in sorted((ROOT / "scripts").rglob("*")):
        if path.is_file() and path.suffix in ("", ".py"):
            text = path.read_text()
            found |= set(OPTION.findall(text))
    assert missing(found | {"--all", "--long"}) == []


def test_readme_is_short_and_links_every_guide() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= LONGEST_README
    assert {label(guide) for guide in GUIDES} <= set(LINK.findall(text))


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_links_work(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_named_files_and_functions_exist(page: Path) -> None:
    unknown = []
    for span in CODE_SPAN.findall(prose(page)):
        named = PATH.fullmatch(span)
        if named is None:
            continue
        path, name = named.groups()
        if not (ROOT / path).exists() or (name and name not in names_in(ROOT / path)):
            unknown.append(span)
    assert unknown == []


def names_in(path: Path) -> set[str]:
    """The names that a module defines at its top level."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_every_block_has_a_known_language(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES
    indented = re.findall(r"\n\n {4}\S.*", prose(page))
    assert indented == [], "use a fenced block with a language"


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_shown_commands_parse(page: Path) -> None:
    for block in blocks(page):
        if block.language == "console":
            shown = list(shown_commands(block))
            assert shown, f"{block.place}: no line starts with '$ '"
            for words in shown:
                try:
                    command_lines.check(words)
                except (click.ClickException, SystemExit, KeyError) as wrong:
                    pytest.fail(f"{block.place}: {' '.join(words)}: {wrong}")


def test_unknown_commands_and_flags_do_not_parse() -> None:
    with pytest.raises(click.UsageError):
        command_lines.check(["stackserve", "deploy", "--no-such-flag"])
    with pytest.raises(AssertionError):
        command_lines.check(["stackserve", "server", "no-such-verb"])
    with pytest.raises(SystemExit):
        command_lines.check(["sudo", "scripts/lab", "up", "--no-such-flag"])
