"""Signing in and out on the pages, with a token or with an identity provider."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from production_server.access.oidc import InvalidToken, Provider, ProviderUnavailable
from production_server.access.oidc_login import Attempt, finish, login_url
from production_server.access.policy import TOKEN_OWNER
from production_server.web import audit
from production_server.web.access import SESSION, Access, set_cookie

LONGEST_TOKEN = 200
LOGIN = "stackserve_login"


def blueprint(access: Access) -> Blueprint:
    routes = Blueprint("access", __name__, template_folder="templates")

    def page(target: str, problem: str = "", status: int = 200) -> Response:
        text = render_template(
            "sign_in.html", target=target, problem=problem, provider=provider_of_pages(access)
        )
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
        audit.note("sign-in", who=TOKEN_OWNER + token.name)
        response = make_response(redirect(target, 303))
        set_cookie(response, SESSION, access.signing.session({"token": token.id}))
        return response

    @routes.get("/sign-in/provider")
    def begin() -> Response:
        target = local(request.args.get("next", ""))
        provider = provider_of_pages(access)
        if provider is None:
            return page(target, "This service knows no identity provider.", 404)
        attempt = Attempt.begin(target)
        try:
            url = login_url(provider, attempt, callback())
        except ProviderUnavailable:
            return page(target, "The identity provider does not answer. Try again later.", 503)
        response = make_response(redirect(url, 303))
        # The provider sends the browser back from another site, so this cannot be Strict.
        set_cookie(response, LOGIN, access.signing.login(attempt.as_dict()), samesite="Lax")
        return response

    @routes.get("/sign-in/callback")
    def end() -> Response:
        provider = provider_of_pages(access)
        began = access.signing.login_of(request.cookies.get(LOGIN, ""))
        if provider is None or not began:
            return page("/predictions", "This sign-in is too old. Try again.", 400)
        attempt = Attempt(**began)
        try:
            found = finish(provider, attempt, callback(), request.args.to_dict())
        except InvalidToken as error:
            audit.note("sign-in.refuse")
            return page(attempt.target, f"You are not signed in: {error}.", 401)
        except ProviderUnavailable:
            return page(attempt.target, "The identity provider does not answer.", 503)
        audit.note("sign-in", who=found.owner)
        # A redirect would still count as coming from the other site, and carry no Strict cookie.
        response = make_response(render_template("signed_in.html", target=attempt.target))
        response.headers["Cache-Control"] = "no-store"
        scopes = sorted(scope.value for scope in found.scopes)
        identity = {"subject": found.subject, "owner": found.owner, "scopes": scopes}
        set_cookie(response, SESSION, access.signing.session({"identity": identity}))
        response.delete_cookie(LOGIN, httponly=True, samesite="Lax")
        return response

    @routes.post("/sign-out")
    def sign_out() -> Response:
        audit.note("sign-out")
        response = make_response(redirect("/", 303))
        response.delete_cookie(SESSION, httponly=True, samesite="Strict")
        return response

    return routes


def provider_of_pages(access: Access) -> Provider | None:
    """The identity provider, if it knows the pages."""
    provider = access.provider
    return provider if provider is not None and provider.terms.client else None


def callback() -> str:
    return url_for("access.end", _external=True)


def local(target: str) -> str:
    """An address on this site; anything else becomes the predictions page."""
    other = not target.startswith("/") or target.startswith(("//", "/\\"))
    return "/predictions" if other or not target.isprintable() else target
