"""Images of the service for containers: built and pushed with the user's own Docker."""
