"""A real OpenStack on one machine, for trying and testing the launcher: what `scripts/lab` runs."""
