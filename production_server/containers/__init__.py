"""What the service's containers need beside the service itself, for their build and their health."""
