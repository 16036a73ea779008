"""The launcher: from OpenStack credentials to a server that answers predictions."""
