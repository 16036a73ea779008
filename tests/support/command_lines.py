"""Check a documented command against the real command line, without running it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

import click
from benchmarks.cli import main as bench
from benchmarks.deploy.command import deploy as bench_deploy
from benchmarks.hostile.command import hostile as bench_hostile
from benchmarks.scale.command import scale as bench_scale
from openstack_lab.cli import parser as lab

from openstack_client.cli import main as launcher
from production_server.cli import group as server
from tests.support.documents import ROOT
from tests.support.scripts import script

# The same group as in benchmarks/__main__.py.
BENCH = click.Group(
    commands={
        **bench.commands,
        "deploy": bench_deploy,
        "hostile": bench_hostile,
        "scale": bench_scale,
    }
)
# Programs of others; their arguments are not checked.
FOREIGN = {
    "cd",
    "curl",
    "docker",
    "docker-compose",
    "export",
    "kubectl",
    "mkdir",
    "pip",
    "python3",
    "rm",
    "source",
}


def check(words: Sequence[str]) -> None:
    """Raise click.UsageError, SystemExit or AssertionError if the command would not parse."""
    program, *arguments = words[1:] if words[0] == "sudo" else words
    program = program.removeprefix("./").removeprefix("~/stackserve/bin/")
    if program not in FOREIGN:
        PROGRAMS[program](arguments)


def _stackserve(arguments: list[str]) -> None:
    if arguments[:1] == ["server"]:
        _click(server, arguments[1:])
    else:
        _click(launcher, arguments)


def _click(command: click.Command, arguments: list[str]) -> None:
    while isinstance(command, click.Group):
        assert arguments, f"{command.name} needs a command"
        name, *arguments = arguments
        # click keeps the help option of the first context, so the context must have its names.
        context = click.Context(command, **command.context_settings)
        if any(name in option.opts for option in command.get_params(context)):
            return
        found = command.get_command(context, name)
        assert found is not None, f"unknown command {name!r}"
        command = found
    command.make_context(command.name, arguments)


def _tests(arguments: list[str]) -> None:
    paths = [argument for argument in arguments if not argument.startswith("-")]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def _eval(arguments: list[str]) -> None:
    (script,) = arguments
    check(shlex.split(script.removeprefix("$(").removesuffix(")")))


PROGRAMS: dict[str, Callable[[list[str]], object]] = {
    "stackserve": _stackserve,
    "scripts/run": lambda arguments: _click(launcher, ["deploy", *arguments]),
    "scripts/train": lambda arguments: _click(server, ["train", "--data", *arguments]),
    "scripts/bench": lambda arguments: _click(BENCH, arguments),
    "scripts/audit": lambda arguments: script("audit").flags().parse_args(arguments),
    "scripts/lab": lambda arguments: lab().parse_args(arguments),
    "scripts/test": _tests,
    "eval": _eval,
}
