"""The launcher on the lab."""
