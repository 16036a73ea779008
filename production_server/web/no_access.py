"""The page for people who are known but lack a scope. Programs get the same refusal as JSON."""

from __future__ import annotations

from flask import Response, make_response, render_template

from production_server.access.policy import MEANINGS, TOKEN_OWNER, Caller, Scope


def page(caller: Caller, needed: Scope, claim: str) -> Response:
    """`claim` is what the scopes of the identity provider's accounts come from, if there is one."""
    text = render_template(
        "no_access.html",
        needed=needed.value,
        meaning=MEANINGS[needed],
        has=sorted(scope.value for scope in caller.scopes),
        kind="token" if (caller.owner or "").startswith(TOKEN_OWNER) else "account",
        claim=claim,
    )
    response = make_response(text, 403)
    response.headers["Cache-Control"] = "no-store"
    return response
