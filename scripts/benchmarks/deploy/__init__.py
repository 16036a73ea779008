"""`scripts/bench deploy`: the time from the command to the first prediction, on a real cloud."""
