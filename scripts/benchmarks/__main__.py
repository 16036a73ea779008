"""The entry point of `scripts/bench`, run in the project's environment."""

from benchmarks.cli import main
from benchmarks.deploy.command import deploy
from benchmarks.hostile.command import hostile

main.add_command(deploy)
main.add_command(hostile)
main(prog_name="scripts/bench")
