"""Signing in with a token, on a service that asks everybody for one."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from production_server.access.policy import Scope
from production_server.access.tokens import Tokens
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
