"""`scripts/bench` calls this in the project's environment."""

from benchmarks.cli import main

main(prog_name="scripts/bench")
