"""`scripts/bench` calls this in the project's environment."""

from benchmarks.cli import main
from benchmarks.deploy.cli import deploy

main.add_command(deploy)
main(prog_name="scripts/bench")
