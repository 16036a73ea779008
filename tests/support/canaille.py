"""Canaille, an identity provider of the Python package index, on this machine."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from environment import VENV, ensure_uv, uv_environment
from playwright.sync_api import Page

from production_server.access.oidc_login import Attempt
from production_server.local.rabbitmq import free_port
from tests.support.provider_process import serving
from tests.support.service import ROOT

SOURCE = ROOT / "tests" / "data" / "canaille"
CALLBACK = "http://127.0.0.1/"
# Its only person, who is a student, and the password.
PERSON = ("ann", "anything")
# The client of the pages, whose tokens are for AUDIENCE too, and one whose tokens are not.
PAGES = "pages"
OTHER = "other"
AUDIENCE = "stackserve"
FIELD = re.compile(r'<input type="hidden" name="csrf_token" value="([^"]+)"')


@contextmanager
def canaille(folder: Path, callback: str = CALLBACK) -> Iterator[str]:
    """Install and run it; gives its issuer. The pages' client comes back to `callback`."""
    folder.mkdir()
    program = _install(folder / "venv")
    # Another site than that of the service, which is on 127.0.0.1.
    address = f"localhost:{free_port()}"
    config = (SOURCE / "canaille.toml").read_text()
    config = config.replace("localhost:PORT", address).replace("FOLDER", str(folder))
    (folder / "canaille.toml").write_text(config)
    environment = {"CANAILLE_CONFIG": str(folder / "canaille.toml")}
    people = (SOURCE / "people.json").read_text().replace("CALLBACK", callback)
    for command, said in (("install", ""), ("restore", people)):
        subprocess.run(
            [program, command],
            env=environment,
            cwd=folder,
            input=said.encode(),
            capture_output=True,
            check=True,
            timeout=120,
        )
    run = [str(program), "run", "--bind", address]
    with serving(run, folder, f"http://{address}/oauth/jwks.json", environment):
        yield f"http://{address}"


def _install(venv: Path) -> Path:
    uv, python = str(ensure_uv(VENV)), venv / "bin" / "python"
    locked = ["--require-hashes", "--requirements", str(SOURCE / "requirements.txt")]
    for command in (
        [uv, "venv", "--quiet", "--python", str(VENV / "bin" / "python"), str(venv)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *locked],
    ):
        subprocess.run(command, env=uv_environment(VENV), check=True, timeout=300)
    return venv / "bin" / "canaille"


def sign_in(page: Page) -> None:
    """Sign in on its pages, in a browser that was sent there."""
    name, password = PERSON
    page.locator("input[name=login]").fill(name)
    page.locator("#loginform button[type=submit]").click()
    page.locator("input[name=password]").fill(password)
    page.locator("#passwordform button[type=submit]").click()
    page.get_by_role("button", name="Accept").click()


def token(issuer: str, client: str) -> str:
    """An access token of the person, by the authorization code flow with PKCE."""
    about = httpx.get(f"{issuer}/.well-known/openid-configuration").json()
    attempt = Attempt.begin("/")
    asked = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": CALLBACK,
        "scope": "openid groups",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
    }
    with httpx.Client(timeout=30) as browser:
        answer = browser.get(about["authorization_endpoint"], params=asked)
        for form in ({"login": PERSON[0]}, {"password": PERSON[1]}, {"answer": "accept"}):
            while answer.is_redirect:
                answer = browser.send(_next(answer))
            proof = FIELD.search(answer.raise_for_status().text)
            assert proof
            # As a browser does; with TLS, it is required.
            browser.headers["Referer"] = str(answer.url)
            answer = browser.post(answer.url, data={"csrf_token": html.unescape(proof[1]), **form})
    returned = _next(answer).url
    assert str(returned).startswith(CALLBACK) and returned.params["state"] == attempt.state
    form = {
        "grant_type": "authorization_code",
        "client_id": client,
        "redirect_uri": CALLBACK,
        "code": returned.params["code"],
        "code_verifier": attempt.verifier,
    }
    return _access_token(about["token_endpoint"], form)


def expired_token(issuer: str) -> str:
    """An access token of the person that fits but for its end."""
    name, password = PERSON
    form = {
        "grant_type": "password",
        "client_id": PAGES,
        "username": name,
        "password": password,
        "scope": "openid groups",
    }
    return _access_token(f"{issuer}/oauth/token", form)


def _next(answer: httpx.Response) -> httpx.Request:
    assert answer.next_request is not None, answer.text
    return answer.next_request


def _access_token(endpoint: str, form: dict[str, str]) -> str:
    answer = httpx.post(endpoint, data=form, timeout=30)
    return str(answer.raise_for_status().json()["access_token"])
