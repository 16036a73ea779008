"""The problems of callers that are not let in, or cannot be checked."""

from __future__ import annotations

from production_server.access.oidc import PAUSE_SECONDS
from production_server.web.problems import Problem


def unauthorized(detail: str) -> Problem:
    return Problem(
        401,
        "unauthorized",
        detail,
        "Send one: Authorization: Bearer TOKEN, or curl -u NAME:TOKEN. The operator of this "
        "service creates tokens.",
        headers={"WWW-Authenticate": 'Bearer realm="stackserve"', "Cache-Control": "no-store"},
    )


def check_failed() -> Problem:
    return Problem(
        503,
        "access_check_failed",
        "Who you are cannot be checked.",
        "Try again later. The server's log has the cause.",
        headers={"Retry-After": "5", "Cache-Control": "no-store"},
    )


def provider_unavailable() -> Problem:
    return Problem(
        503,
        "identity_provider_unavailable",
        "The identity provider gives no keys, so the token cannot be checked.",
        "Try again later. The server's log has the cause.",
        headers={"Retry-After": str(int(PAUSE_SECONDS)), "Cache-Control": "no-store"},
    )


def cross_site() -> Problem:
    return Problem(
        403,
        "cross_site",
        "This change was not sent by a page of this service.",
        "Reload the page and try again. Programs send a token instead of a cookie.",
    )
