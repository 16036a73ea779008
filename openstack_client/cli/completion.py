"""completion: print the shell completion script for `stackserve`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "stackserve"
# The script sets this variable to ask `stackserve` for completions.
VARIABLE = "_STACKSERVE_COMPLETE"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the shell completion script for `stackserve`.

    \b
    bash: add to ~/.bashrc
      eval "$(stackserve completion bash)"
    zsh: add to ~/.zshrc, after compinit
      eval "$(stackserve completion zsh)"
    fish: run once
      stackserve completion fish > ~/.config/fish/completions/stackserve.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "Click supports these shells"
    click.echo(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source())
