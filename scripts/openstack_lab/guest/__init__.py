"""The guest: an ordinary Debian cloud image, made here from the machine's own mirror."""
