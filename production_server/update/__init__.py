"""Changes the code of a server while it serves, and goes back; see docs/update.md."""
