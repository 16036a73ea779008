"""Carry out a plan: create, wait, clean up, delete, bake."""
