"""Signing in with a token, and with identity providers."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import expect

from production_server.access.policy import Scope
from production_server.access.tokens import Tokens
from tests.support import canaille, certified_provider
from tests.support.chromium import OpenTab
from tests.support.rows import shipped
from tests.support.service import Service


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("guarded")
    with Service(folder, settings={"STACKSERVE_ACCESS": "token"}) as running:
        yield running


def test_a_person_signs_in_predicts_uploads_and_signs_out(
    open_tab: OpenTab, guarded: Service, tmp_path: Path
) -> None:
    scopes = frozenset({Scope.PREDICT, Scope.JOBS})
    token = Tokens(guarded.home / "access").create("teacher", scopes, None)
    tab = open_tab(guarded.url)
    tab.expects_http_errors = True
    page = tab.open("/predictions?glucose=190")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert "glucose" not in page.url, "values do not belong in the address of the sign-in"
    page.get_by_label("Token").fill("st_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("unknown, expired or revoked")).to_be_visible()

    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/predictions")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.locator("#verdict")).not_to_be_empty()

    _, card = shipped()
    cases = tmp_path / "cases.csv"
    with cases.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(card.feature_names)
        writer.writerow([feature.default for feature in card.features])
    page.get_by_label("CSV file").set_input_files(cases)
    page.get_by_role("button", name="Upload and predict").click()
    expect(page.locator("#job-state")).to_have_text("Done")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the result (CSV)").click()
    assert download.value.path().read_text().startswith("row,label,")

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.context.cookies() == []


def test_a_person_without_the_scope_learns_what_is_missing(
    open_tab: OpenTab, guarded: Service
) -> None:
    token = Tokens(guarded.home / "access").create("guest", frozenset({Scope.JOBS}), None)
    tab = open_tab(guarded.url)
    tab.expects_http_errors = True
    page = tab.open("/predictions")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="No access to this page")).to_be_visible()
    expect(page.get_by_text("You are signed in as guest.")).to_be_visible()
    page.get_by_role("button", name="Sign out and use another token").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.context.cookies() == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("of", "running"),
    [(certified_provider, certified_provider.certified_provider), (canaille, canaille.canaille)],
    ids=["certified", "canaille"],
)
def test_a_person_signs_in_with_an_identity_provider(
    open_tab: OpenTab,
    needs: Callable[[object, str], None],
    tmp_path: Path,
    of: ModuleType,
    running: Callable[[Path, str], AbstractContextManager[str]],
) -> None:
    needs(of is canaille or shutil.which("npm"), "npm is not installed: apt-get install npm")
    service = Service(tmp_path / "service")
    callback = f"{service.url}/sign-in/callback"
    with running(tmp_path / "provider", callback) as issuer:
        service.environment |= {
            "STACKSERVE_ACCESS": "oidc",
            "STACKSERVE_OIDC_ISSUER": issuer,
            "STACKSERVE_OIDC_AUDIENCE": of.AUDIENCE,
            "STACKSERVE_OIDC_CLIENT": of.PAGES,
            "STACKSERVE_OIDC_CLAIM": "groups",
            "STACKSERVE_OIDC_SCOPES": "students=predict,students=jobs",
        }
        with service:
            tab = open_tab(service.url)
            page = tab.open()
            page.get_by_role("link", name="Sign in with your organization").click()
            of.sign_in(page)
            page.wait_for_url(f"{service.url}/predictions")
            expect(page.get_by_role("button", name="Sign out")).to_be_visible()
            page.get_by_role("button", name="Predict", exact=True).click()
            expect(page.locator("#verdict")).not_to_be_empty()
            cookies = {cookie["name"]: cookie for cookie in page.context.cookies(service.url)}
            assert cookies["stackserve_session"]["sameSite"] == "Strict"
            assert "stackserve_login" not in cookies
            refused = page.request.get(f"{service.url}/metrics")
            assert refused.status == 403 and "'ann'" in refused.json()["detail"]
            # The answer of the provider is good once, and only in this browser.
            page.goto(f"{callback}?code=x&state=y")
            expect(page.get_by_text("This sign-in is too old")).to_be_visible()
            # The provider is another origin, and its pages are not ours.
            tab.external_requests.clear()
            tab.errors.clear()
