"""A real OpenStack on one machine, to try and test the launcher. `scripts/lab` runs it."""
