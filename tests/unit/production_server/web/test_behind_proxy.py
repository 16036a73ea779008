"""Who the web tier believes its client is, behind its own proxy and without one."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from flask import Flask, request

from tests.unit.production_server.web.fronts import make_front, serving

CLAIMED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


def seen(headers: dict[str, str], **settings: Any) -> dict[str, Any]:
    app = Flask("whoami")
    app.get("/whoami")(lambda: {"address": request.remote_addr, "secure": request.is_secure})
    with serving(make_front(app, **settings)) as port:
        found: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/whoami", headers=headers).json()
        return found


def test_the_proxy_names_the_client() -> None:
    assert seen(CLAIMED, tls="self") == {"address": "203.0.113.9", "secure": True}


def test_programs_of_this_server_come_without_a_name() -> None:
    assert seen({}, tls="self") == {"address": "127.0.0.1", "secure": True}


def test_without_a_proxy_nobody_chooses_an_address() -> None:
    assert seen(CLAIMED) == {"address": "127.0.0.1", "secure": False}


@pytest.mark.parametrize("claimed", ["", "nonsense", "\u00fc", "203.0.113.9, 198.51.100.1"])
def test_an_odd_name_breaks_nothing(claimed: str) -> None:
    headers = {"X-Forwarded-For": claimed.encode()}
    app = Flask("whoami")
    app.get("/whoami")(lambda: {"address": request.remote_addr})
    with serving(make_front(app, tls="self")) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/whoami", headers=headers)
    assert answer.status_code == 200
