"""The operations page in a browser, while predictions run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Page, expect

from production_server.access.policy import Scope
from production_server.access.tokens import Tokens
from production_server.live.drift import LEAST_ROWS
from production_server.live.inputs import MOST_ROWS
from production_server.model import rollout
from production_server.model.registry import Registry
from tests.browser.test_look import LOW_CONTRAST
from tests.support.chromium import DESKTOP, SCREENSHOTS, OpenTab, Tab
from tests.support.rows import shipped
from tests.support.service import Service

NARROW = (360, 740)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("watched")) as running:
        yield running


@contextmanager
def load(url: str) -> Iterator[None]:
    """Predictions, and now and then a request that is refused."""
    _, card = shipped()
    row = {feature.name: feature.default for feature in card.features}
    stop = threading.Event()

    def send() -> None:
        with httpx.Client(base_url=url) as client:
            count = 0
            while not stop.wait(0.02):
                count += 1
                client.post("/predict", json=row if count % 20 else {})

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def signed_in(tab: Tab, service: Service, name: str) -> Page:
    tab.expects_http_errors = True
    tokens = Tokens(service.home / "access")
    page = tab.open("/operations")
    page.get_by_label("Token").fill(tokens.create(name, frozenset(Scope), None))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/operations")
    return page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [NARROW, DESKTOP], ids=["phone", "desktop"])
def test_the_page_follows_the_predictions(
    open_tab: OpenTab, running: Service, size: tuple[int, int], dark: bool
) -> None:
    look = f"operations-{size[0]}-{'dark' if dark else 'light'}"
    page = signed_in(open_tab(running.url, size, dark=dark), running, look)
    expect(page.locator("#live")).to_have_text("Live")
    with load(running.url):
        expect(page.get_by_text("invalid_rows")).to_be_visible()
        predictions = page.locator(".tiles dd").first
        before = predictions.inner_text()
        expect(predictions).not_to_have_text(before)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert page.evaluate(LOW_CONTRAST) == []
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{look}.png", full_page=True)


def test_pausing_and_going_on_with_the_keyboard(open_tab: OpenTab, running: Service) -> None:
    page = signed_in(open_tab(running.url), running, "keys")
    expect(page.locator("#live")).to_have_text("Live")
    button = page.get_by_role("button", name="Pause")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("status").first).to_have_text("Paused")
    shown = page.locator("[data-part=time]").inner_text()
    page.wait_for_timeout(2500)
    assert page.locator("[data-part=time]").inner_text() == shown
    page.keyboard.press("Enter")
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("[data-part=time]")).not_to_have_text(shown)


def test_without_javascript_the_page_is_a_snapshot(open_tab: OpenTab, running: Service) -> None:
    page = signed_in(open_tab(running.url, javascript=False), running, "plain")
    expect(page.locator("#live")).to_have_text("Snapshot")
    expect(page.get_by_text("Reload the page for a new one")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_be_hidden()
    expect(page.get_by_text("Median latency")).to_be_visible()


def test_the_page_says_when_the_inputs_have_drifted(open_tab: OpenTab, running: Service) -> None:
    """Everybody is a hundred years old. Runs last, because the counts stay."""
    page = signed_in(open_tab(running.url), running, "drift")
    _, card = shipped()
    row = {feature.name: feature.default for feature in card.features} | {"age": 100}
    with httpx.Client(base_url=running.url) as client:
        for _ in range(LEAST_ROWS // MOST_ROWS + 10):
            assert client.post("/predict", json=[row] * MOST_ROWS).status_code == 200
        until = time.monotonic() + 15
        while page.locator(".rows.wide").count() == 0 and time.monotonic() < until:
            client.post("/predict", json=[row] * MOST_ROWS)
            page.wait_for_timeout(300)
    age = page.locator(".rows.wide li").filter(has_text="Age")
    expect(age.locator(".tag")).to_have_text("drifted")
    expect(age).to_contain_text("More values above")
    page.screenshot(path=SCREENSHOTS / "operations-drift.png", full_page=True)


def test_a_canary_is_compared_with_the_active_version(open_tab: OpenTab, running: Service) -> None:
    registry = Registry(running.home / "models")
    first = registry.active()
    card, file = registry.card(first), registry.model_path(first)
    second = registry.add(card, file).version
    rollout.start(registry, rollout.Candidate(version=second, share=0.5))
    try:
        page = signed_in(open_tab(running.url, NARROW), running, "canary")
        models = page.get_by_role("region", name="Models")
        with load(running.url):
            expect(models.locator("thead")).to_contain_text(second)
            answered = models.get_by_role("row", name="Requests").locator("td").last
            expect(answered).not_to_have_text("0")
            assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
            assert page.evaluate(LOW_CONTRAST) == []
            page.screenshot(path=SCREENSHOTS / "operations-canary.png", full_page=True)
    finally:
        rollout.withdraw(registry)
    expect(models.get_by_role("table")).to_have_count(0)
    expect(models).to_contain_text("withdrawn")
