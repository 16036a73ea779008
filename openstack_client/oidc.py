"""The rules for the settings of --access oidc, checked before anything is created.

The server has the same rules (production_server/access/oidc.py), but it would only refuse to start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from openstack_client.plain import plain

PREFIX = "oidc_"
# With what to add.
REQUIRED = {
    "oidc_issuer": "Add --oidc-issuer URL, the address of your provider.",
    "oidc_audience": "Add --oidc-audience NAME, for whom its tokens must be.",
}
SCOPES = ("predict", "jobs", "models", "operate")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# The page that a provider sends people back to.
CALLBACK = "/sign-in/callback"


def issuer(value: str) -> str:
    parts = urlsplit(plain(value))
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not safe or not parts.hostname:
        raise ValueError("must be an https:// address; http:// only if it is the server itself")
    if parts.username is not None:
        raise ValueError("must not contain a user name or password")
    return value


def scope_map(value: str) -> str:
    """`VALUE=SCOPE`, separated by commas."""
    for pair in plain(value).split(","):
        given, _, scope = pair.rpartition("=")
        if pair and (not given or scope not in SCOPES):
            names = ", ".join(SCOPES)
            raise ValueError(f"{pair!r} is not VALUE=SCOPE with one of the scopes {names}")
    return value


def misfits(access: str, given: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Each setting that does not fit `access`, what is wrong, and what to do."""
    if access != "oidc":
        for name in sorted(name for name in given if name.startswith(PREFIX)):
            yield name, "only applies with --access oidc.", "Add --access oidc, or remove it."
        return
    for name, remedy in REQUIRED.items():
        if name not in given:
            yield name, "is required with --access oidc.", remedy
