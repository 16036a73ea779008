"""The page of trainings: only with the scope, and readable on a phone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from production_server.access.policy import Scope
from production_server.access.tokens import Tokens
from production_server.trainer.runs import (
    PROGRESS,
    Kind,
    Outcome,
    Progress,
    Request,
    Runs,
    Standing,
    State,
)
from tests.support.chromium import PHONE, OpenTab
from tests.support.service import Service


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a finished training and one that failed."""
    folder = tmp_path_factory.mktemp("trained")
    runs = Runs(folder / "home" / "trainer")
    for outcome in (
        Outcome(version="diabetes-2", notes=["ROC AUC 0.8417, 0.8417 of the active diabetes-1"]),
        Outcome(code="refused", reason="<b>no & rows</b>", remedy="Add rows."),
    ):
        with runs.draft() as draft:
            run = runs.submit(draft, Request(kind=Kind.TRAIN, created=time.time()))
        losses = [1 / number for number in range(1, 40)]
        progress = Progress(epochs=39, most_epochs=400, loss=losses, val_loss=losses[::-1])
        (run.folder / PROGRESS).write_text(progress.model_dump_json())
        state = State.FAILED if outcome.code else State.DONE
        run.write(Standing(state=state, attempts=1, finished=time.time(), outcome=outcome))
    with Service(folder) as running:
        yield running


def test_trainings_on_a_phone(open_tab: OpenTab, trained: Service, tmp_path: Path) -> None:
    token = Tokens(trained.home / "access").create("teacher", frozenset({Scope.MODELS}), None)
    tab = open_tab(trained.url, PHONE)
    tab.expects_http_errors = True
    page = tab.open("/training")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/training")
    expect(page.get_by_role("heading", name="diabetes-2: done")).to_be_visible()
    expect(page.get_by_text("<b>no & rows</b>. Add rows.")).to_be_visible()
    charts = page.get_by_role("img", name="Loss after each of 39 epochs")
    expect(charts).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    # A page of another site could send the cookie, but does not know the proof.
    status = "path => fetch(path, {method: 'POST', body: 'x'}).then(answer => answer.status)"
    for path in ("/models", "/models/diabetes-1/activate", "/training"):
        assert page.evaluate(status, path) == 403
