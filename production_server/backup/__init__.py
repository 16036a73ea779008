"""Backups: the jobs and models of a service in one archive."""
