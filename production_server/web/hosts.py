"""The host names that requests may use.

Otherwise a page of another site, whose name points here, could read answers in a visitor's browser.
"""

from __future__ import annotations

from functools import lru_cache

from production_server.web.bodies import Scope
from production_server.web.problems import Problem

# Probes and monitors address a server by its IP address. These answers hold no user's data.
ANY_HOST = frozenset({"/alive", "/metrics", "/ping", "/ready"})


class TrustedHosts:
    """The names from the settings; none means that all are trusted."""

    def __init__(self, names: str) -> None:
        self._exact = frozenset(name.removeprefix(".") for name in names.split(",") if name)
        self._endings = tuple(name for name in names.split(",") if name.startswith("."))
        # Most requests use the same few names.
        self._trusts = lru_cache(maxsize=64)(self._look_up)

    def __bool__(self) -> bool:
        return bool(self._exact)

    def check(self, scope: Scope) -> None:
        """Raise a Problem if the request's Host header is not trusted."""
        if scope["path"] in ANY_HOST:
            return
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._trusts(hosts[0]):
            raise untrusted(b", ".join(hosts))

    def _look_up(self, host: bytes) -> bool:
        name = name_of(host)
        return name in self._exact or name.endswith(self._endings)


def name_of(host: bytes) -> str:
    """The name in a Host header, without the port."""
    text = host.decode("latin-1").lower()
    name, colon, port = text.rpartition(":")
    return (name if colon and (port.isdigit() or not port) else text).removesuffix(".")


def untrusted(host: bytes) -> Problem:
    return Problem(
        400,
        "untrusted_host",
        f"This service does not answer to the host {host.decode('latin-1')[:80]!r}.",
        "Use a name of the service. The operator lists them in STACKSERVE_TRUSTED_HOSTS.",
    )
