"""The server's command line: one file per verb, imported only when its verb runs."""

from __future__ import annotations

import importlib
from typing import Any

import click

from production_server import __version__
from production_server.errors import StackserveError

# verb: (module, first line of its help)
VERBS = {
    "serve": ("serve", "Serve on this machine until Ctrl-C."),
    "train": ("train", "Train a model and keep it in the registry."),
    "evaluate": ("evaluate", "Measure a version on a table with known outcomes."),
    "predict": ("predict", "Predict one row, or every row of a CSV file."),
    "stream": ("stream", "Predict JSON lines from stdin."),
    "models": ("models", "List, activate, delete, import and export models."),
    "tokens": ("tokens", "Create, list and revoke tokens."),
    "backup": ("backup", "Save all jobs and models to an archive."),
    "restore": ("backup", "Replace all jobs and models by those of an archive."),
    "web": ("processes", "Run the web tier."),
    "worker": ("processes", "Run one worker."),
    "recorder": ("processes", "Run the recorder of job results."),
    "trainer": ("processes", "Run the trainer of models."),
    "proxy": ("processes", "Run the TLS proxy."),
    "wait-ready": ("wait_ready", "Wait for a prediction to come back through the queue."),
    "rehearse": ("rehearse", "Prove that this code starts and predicts, before an update."),
    "run-task": ("run_task", "Send one task through the queue and show its result."),
}
USER_ERROR = 1


class Verbs(click.Group):
    """Imports only the module of the verb that runs: importing Keras takes a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = importlib.import_module(f"production_server.cli.{VERBS[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="stackserve", message="%(prog)s %(version)s")
def group() -> None:
    """Serve, train and manage the models of Stackserve."""


class Reporting(Verbs):
    """The same verbs, with error messages instead of tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; print a StackserveError and its remedy."""
        try:
            return super().invoke(ctx)
        except StackserveError as error:
            click.echo(f"Error: {error}", err=True)
            if error.remedy:
                click.echo(f"  {error.remedy}", err=True)
            ctx.exit(USER_ERROR)


# The command behind `stackserve server`.
command = Reporting(
    name=group.name,
    callback=group.callback,
    params=group.params,
    help=group.help,
    context_settings=group.context_settings,
)


def main() -> None:
    """Run `python3 -m production_server`."""
    command.main(prog_name="python3 -m production_server")
