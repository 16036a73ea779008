"""The launcher: from OpenStack credentials to a server that answers predictions."""

__version__ = "0.1.0"
