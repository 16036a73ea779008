"""The README names every verb, flag, setting and endpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from openstack_client.cli import main as client
from production_server.cli import group as server
from production_server.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()
FLAG = re.compile(r"--[a-z][a-z-]+")
# A declared option, unless it is hidden from people.
OPTION = re.compile(r"(?:click\.option|add_argument)\(\s*\"(--[a-z][a-z-]+)\"(?!.*SUPPRESS)")


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
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
    """Names that do not stand in the README as words of their own."""
    return sorted(n for n in names if not re.search(rf"(?<![\w-]){re.escape(n)}(?![\w-])", README))


@pytest.mark.parametrize("group", [client, server], ids=["openstack_client", "production_server"])
def test_every_verb_and_flag(group: click.Group) -> None:
    assert missing({f"`{name}" for name, _ in commands(group)}) == []
    assert missing(flags(group)) == []


def test_every_setting_of_the_server() -> None:
    assert missing({f"STACKSERVE_{name.upper()}" for name in Settings.model_fields}) == []


def test_every_setting_of_a_deployment() -> None:
    from openstack_client.settings import Settings as Deployment

    assert missing({"--" + name.replace("_", "-") for name in Deployment.model_fields}) == []


def test_every_endpoint() -> None:
    """From the routes themselves: even one that the OpenAPI document forgot."""
    routes: set[str] = set()
    for path in sorted((ROOT / "production_server" / "web").glob("*.py")):
        text = path.read_text()
        routes |= set(re.findall(r"@\w+\.(?:get|post|delete|route)\(\"(/[^\"]*)\"", text))
    routes = {re.sub(r"<(?:\w+:)?\w+>", "ID", route) for route in routes} | {"/predict"}
    assert len(routes) > 10
    assert missing({f"{route}`" for route in routes - {"/"}}) == []


def test_every_flag_of_the_scripts() -> None:
    found: set[str] = set()
    for path in sorted((ROOT / "scripts").rglob("*")):
        if path.is_file() and path.suffix in ("", ".py"):
            text = path.read_text()
            found |= set(OPTION.findall(text))
    assert missing(found | {"--all", "--long"}) == []


def test_links_and_pictures_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
