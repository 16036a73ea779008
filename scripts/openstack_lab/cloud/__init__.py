"""What is put into the running cloud through its own APIs."""
