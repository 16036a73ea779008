"""Follow a deployment: console, boot, readiness, status, progress and ssh."""
