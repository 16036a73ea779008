"""Packages, so that the lab stops when the last of these tests has ended."""
