"""TLS: an nginx in front of the web tier, its certificates and its configuration."""
