"""The guest image: a Debian cloud image, built from this machine's package mirror."""
