"""Measures this service and its peers: `scripts/bench serving`, `scripts/bench jobs`."""
