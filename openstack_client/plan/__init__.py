"""Decide what to create, change, keep or delete: pure functions of settings and facts."""
