"""Signing in and out on the pages, with a token."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, render_template, request

from production_server.web import audit
from production_server.web.access import SESSION, Access, set_cookie

LONGEST_TOKEN = 200


def blueprint(access: Access) -> Blueprint:
    routes = Blueprint("access", __name__, template_folder="templates")

    def page(target: str, problem: str = "", status: int = 200) -> Response:
        text = render_template("sign_in.html", target=target, problem=problem)
        response = make_response(text, status)
        response.headers["Cache-Control"] = "no-store"
        return response

    @routes.get("/sign-in")
    def form() -> Response:
        return page(local(request.args.get("next", "")))

    @routes.post("/sign-in")
    def sign_in() -> Response:
        target = local(request.form.get("next", ""))
        token = access.tokens.find(request.form.get("token", "")[:LONGEST_TOKEN].strip())
        if token is None:
            audit.note("sign-in.refuse")
            return page(target, "This token is unknown, expired or revoked.", 401)
        audit.note("sign-in", who=token.name)
        response = make_response(redirect(target, 303))
        set_cookie(response, SESSION, access.signing.session(token.id))
        return response

    @routes.post("/sign-out")
    def sign_out() -> Response:
        audit.note("sign-out")
        response = make_response(redirect("/", 303))
        response.delete_cookie(SESSION, httponly=True, samesite="Strict")
        return response

    return routes


def local(target: str) -> str:
    """An address on this site; anything else becomes the predictions page."""
    other = not target.startswith("/") or target.startswith(("//", "/\\"))
    return "/predictions" if other or not target.isprintable() else target
