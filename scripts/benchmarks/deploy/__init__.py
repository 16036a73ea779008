"""`scripts/bench deploy`: from the command to the first prediction, on a real cloud."""
