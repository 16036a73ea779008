"""Serves on this machine: everything in one process, or each part as a process of its own."""
