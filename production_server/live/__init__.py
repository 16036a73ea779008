"""What an operator sees of the running service: figures, inputs and events, a second at a time."""
