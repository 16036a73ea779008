"""The host names that requests may use.

Otherwise a page of another site, whose name points here, could read answers in a visitor's browser.
A service for this machine alone is the one that such a page finds without knowing its address.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from production_server.settings import Settings
from production_server.web.bodies import Scope
from production_server.web.problems import Problem

# Probes and monitors address a server by its IP address. These answers hold no user's data.
ANY_HOST = frozenset({"/alive", "/metrics", "/ping", "/ready"})


# Browsers resolve names in .localhost themselves.
LOOPBACK = "localhost,.localhost,127.0.0.1,[::1]"


def trusted_hosts(settings: Settings) -> TrustedHosts:
    """The names from the settings, or those of this machine if only it can connect, or all."""
    if settings.trusted_hosts:
        return TrustedHosts(settings.trusted_hosts, ANY_HOST)
    # With a proxy of ours, the web tier listens for that alone.
    host = (settings.tls_host if settings.tls else settings.host).lower().strip("[]")
    if not is_loopback(host):
        return TrustedHosts("", ANY_HOST)
    # Nobody addresses it in another way, not even a monitor.
    return TrustedHosts(f"{LOOPBACK},{f'[{host}]' if ':' in host else host}")


def is_loopback(host: str) -> bool:
    """Whether a service that listens there is for this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class TrustedHosts:
    """The trusted names; none means that all are. The paths of `anyhow` answer to any name."""

    def __init__(self, names: str, anyhow: frozenset[str] = frozenset()) -> None:
        self._anyhow = anyhow
        self._exact = frozenset(name.removeprefix(".") for name in names.split(",") if name)
        self._endings = tuple(name for name in names.split(",") if name.startswith("."))
        # Most requests use the same few names.
        self._trusts = lru_cache(maxsize=64)(self._look_up)

    def __bool__(self) -> bool:
        return bool(self._exact)

    def check(self, scope: Scope) -> None:
        """Raise a Problem if the request's Host header is not trusted."""
        if scope["path"] in self._anyhow:
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
