"""The commands of `stackserve`, imported only to run: OpenStack's clients need a second for it."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click
from click.shell_completion import CompletionItem

# verb -> (where it is, the first paragraph of its help)
VERBS = {
    "deploy": (
        "openstack_client.cli.deploy:deploy",
        "Deploy to the sourced cloud and wait for a first prediction.",
    ),
    "plan": (
        "openstack_client.cli.plan:plan",
        "Say what deploy would make, change or find; exit code 4 if it cannot.",
    ),
    "status": (
        "openstack_client.cli.status:status",
        "Say how a deployment is; exit code 11 if it does not predict.",
    ),
    "logs": (
        "openstack_client.cli.logs:logs",
        "Show the console log, or the journal of a unit.",
    ),
    "ssh": (
        "openstack_client.cli.ssh:ssh",
        "Log in to the server, or run a command there: ssh [NAME] -- COMMAND.",
    ),
    "open": (
        "openstack_client.cli.open:open_",
        "Open the page of a deployment.",
    ),
    "list": (
        "openstack_client.cli.list:list_",
        "Show all deployments in the project.",
    ),
    "bake": (
        "openstack_client.cli.bake:bake",
        "Prepare an image, called NAME, that deploy then uses by itself.",
    ),
    "delete": (
        "openstack_client.cli.delete:delete",
        "Remove a deployment: server, floating IP, port, security group, volume, keypair.",
    ),
    "completion": (
        "openstack_client.cli.completion:completion",
        "Print the script that completes `stackserve` in your shell.",
    ),
}
# An installed package adds a command by an entry point of this group, see pyproject.toml.
ADDED = "stackserve.commands"


class Verbs(click.Group):
    """Lists the verbs without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*VERBS, *sorted(entry_points(group=ADDED).names)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in VERBS:
            found = [EntryPoint(name, VERBS[name][0], ADDED)]
        else:
            found = list(entry_points(group=ADDED, name=name))
        command: click.Command | None = found[0].load() if found else None
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=text)
            for name, text in self._summaries(ctx)
            if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(self._summaries(ctx))

    def _summaries(self, ctx: click.Context) -> list[tuple[str, str]]:
        """Each command and what it does."""
        pairs = [(name, text) for name, (_, text) in VERBS.items()]
        for name in self.list_commands(ctx)[len(VERBS) :]:
            # Such a command is a group that imports little itself.
            command = self.get_command(ctx, name)
            pairs.append((name, command.get_short_help_str(80) if command else ""))
        return pairs
