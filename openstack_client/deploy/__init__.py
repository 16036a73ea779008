"""Carry a plan out: create, wait, clean up, delete, bake."""
