"""The entry point of `scripts/bench`, run in the project's environment."""

from benchmarks.cli import main
from benchmarks.deploy.command import deploy

main.add_command(deploy)
main(prog_name="scripts/bench")
