"""The entry point of `scripts/bench`, run in the project's environment."""

from benchmarks.cli import main
from benchmarks.deploy.command import deploy
from benchmarks.hostile.command import hostile
from benchmarks.scale.command import scale
from benchmarks.training import training

main.add_command(deploy)
main.add_command(hostile)
main.add_command(scale)
main.add_command(training)
main(prog_name="scripts/bench")
