"""Waits until the service is ready: until a prediction comes back through the queue."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from production_server.errors import ServiceError
from production_server.local.console import Console
from production_server.settings import Settings

POLL_SECONDS = 0.2
ANSWER_SECONDS = 10
READY_SECONDS = 120


def local_url(host: str, port: int, scheme: str = "http") -> str:
    """The URL on this machine of a server that listens on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"{scheme}://{reachable}:{port}"


def shown_url(settings: Settings) -> str:
    """The URL on this machine for people: that of the proxy, if there is one."""
    if settings.tls is None:
        return local_url(settings.host, settings.port)
    return local_url(settings.tls_host, settings.tls_port, "https")


def wait_until_ready(
    url: str, timeout: float, stopping: Callable[[], bool] = lambda: False
) -> dict[str, Any] | None:
    """Return the body of /ready once it succeeds, or None if `stopping()` becomes true.

    After `timeout` seconds, raise a ServiceError that names what is missing.
    """
    give_up = time.monotonic() + timeout
    missing = "the web tier does not answer"
    while not stopping():
        ready, missing, body = check_ready(url)
        if ready:
            return body
        if time.monotonic() > give_up:
            raise ServiceError(
                f"not ready after {timeout:.0f} s: {missing}",
                "Check that part's log. On a server: journalctl -u 'stackserve-*'",
            )
        time.sleep(POLL_SECONDS)
    return None


def check_ready(url: str, token: str = "") -> tuple[bool, str, dict[str, Any]]:
    """Request /ready once: (whether it succeeded, what is missing, the body).

    A token that operates the service also gets the details.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{url}/ready", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            return True, "", json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            body = json.load(error)
    except (OSError, ValueError) as error:
        return False, f"the web tier does not answer ({error})", {}
    return False, str(body.get("detail", "no reason given")), body


def report_ready(settings: Settings, console: Console, stopping: Callable[[], bool]) -> None:
    """Print the address once the service is ready, or what is missing."""
    url = local_url(settings.host, settings.port)
    try:
        ready = wait_until_ready(url, READY_SECONDS, stopping)
    except ServiceError as error:
        console.step(f"{error}. {error.remedy}")
        return
    if ready:
        shown = shown_url(settings)
        console.step(f"Ready: {shown}/predictions  (model {ready['version']}; Ctrl-C stops)")
