"""What the containers need beside the service itself, for their build and their health."""
