"""How much there is to do and who does it, for stackserve-workers; see docs/workers.md."""
