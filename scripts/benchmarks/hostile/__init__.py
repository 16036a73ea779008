"""Measure a steady load while hostile clients attack the same web process."""
