"""Serving on this machine: all in one process, or the real thing as processes of its own."""
