"""Benchmarks of the service and its peers, run with `scripts/bench`."""
