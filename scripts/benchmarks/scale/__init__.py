"""Measure how the service grows with worker hosts: `scripts/bench scale`."""
