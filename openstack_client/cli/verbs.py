"""The commands of `stackserve`. Each is imported on use: the OpenStack clients take a second."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click
from click.shell_completion import CompletionItem

# verb -> (import path, first paragraph of its help)
VERBS = {
    "deploy": (
        "openstack_client.cli.deploy:deploy",
        "Deploy to the configured cloud and wait for the first prediction.",
    ),
    "plan": (
        "openstack_client.cli.plan:plan",
        "Show what deploy would create or change. Exits with 4 if it would fail.",
    ),
    "scale": (
        "openstack_client.cli.scale:scale",
        "Change the number of worker VMs; without --worker-vms, replace those that do not work.",
    ),
    "autoscale": (
        "openstack_client.cli.autoscale:autoscale",
        "Keep the number of worker VMs at what the load asks for, until Ctrl-C.",
    ),
    "update": (
        "openstack_client.cli.update:update",
        "Give a deployment a new model or newer code, while it serves.",
    ),
    "promote": (
        "openstack_client.cli.update:promote",
        "Serve the version that is on trial, as a canary or a shadow, from now on.",
    ),
    "rollback": (
        "openstack_client.cli.update:rollback",
        "End a trial, or else serve the version that was active before. With --code: the code.",
    ),
    "models": (
        "openstack_client.cli.models:models",
        "Keep model versions in an object store: push, pull and list them.",
    ),
    "status": (
        "openstack_client.cli.status:status",
        "Show the state of a deployment. Exits with 11 if it is not ready.",
    ),
    "logs": (
        "openstack_client.cli.logs:logs",
        "Show the server's console log, or a unit's journal.",
    ),
    "ssh": (
        "openstack_client.cli.ssh:ssh",
        "Log in to the server, or run a command there: ssh [NAME] -- COMMAND.",
    ),
    "open": (
        "openstack_client.cli.open:open_",
        "Open a deployment in the browser.",
    ),
    "list": (
        "openstack_client.cli.list:list_",
        "List all deployments in the project.",
    ),
    "extend": (
        "openstack_client.cli.extend:extend",
        "Give a deployment more time before it expires: extend [NAME] 4h.",
    ),
    "reap": (
        "openstack_client.cli.reap:reap",
        "Delete every expired deployment in the project. For cron: reap --yes.",
    ),
    "bake": (
        "openstack_client.cli.bake:bake",
        "Create an image, called NAME, that later deploys use automatically.",
    ),
    "image": (
        "openstack_client.cli.image:image",
        "Build and push images of the service, for containers.",
    ),
    "tokens": (
        "openstack_client.cli.tokens:tokens",
        "Create, list and revoke tokens for the service of a deployment.",
    ),
    "git-remote": (
        "openstack_client.cli.git_remote:git_remote",
        "Let your ssh key push new versions to a deployment with git, and print its address.",
    ),
    "backup": (
        "openstack_client.cli.backup:backup",
        "Save all jobs and models of a deployment in the archive FILE.",
    ),
    "restore": (
        "openstack_client.cli.backup:restore",
        "Replace all jobs and models of a deployment by those of the archive FILE.",
    ),
    "delete": (
        "openstack_client.cli.delete:delete",
        "Delete a deployment: server, floating IP, port, security group, volume, keypair.",
    ),
    "completion": (
        "openstack_client.cli.completion:completion",
        "Print the shell completion script for `stackserve`.",
    ),
}
# An installed package adds a command through an entry point in this group; see pyproject.toml.
ADDED = "stackserve.commands"


class Verbs(click.Group):
    """Lists the commands without importing them."""

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
        """Each command with its one-line summary."""
        pairs = [(name, text) for name, (_, text) in VERBS.items()]
        for name in self.list_commands(ctx)[len(VERBS) :]:
            # Such a command is a group whose own module imports little.
            command = self.get_command(ctx, name)
            pairs.append((name, command.get_short_help_str(80) if command else ""))
        return pairs
