"""Decide what to make, change, keep or delete: pure functions from settings and facts."""
