"""Fixtures for browser tests: a real Chromium, whose requests and console errors are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.support.service import ROOT

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS = 20_000  # long, because other tests may keep the machine busy
PHONE, DESKTOP = (390, 844), (1280, 900)
SCREENSHOTS = ROOT / ".cache" / "screenshots"


@dataclass
class Tab:
    """A page, with its console errors and its requests to other origins."""

    page: Page
    origin: str
    external_requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    expects_http_errors: bool = False

    def watch(self) -> None:
        self.page.on("request", lambda request: self._request(request.url))
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _request(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "blob:", "data:")):
            self.external_requests.append(url)

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium logs each 4xx response as an error; tests that cause one expect it.
        expected = "Failed to load resource" in message.text and self.expects_http_errors
        if message.type in ("error", "warning") and not expected:
            self.errors.append(message.text)

    def open(self, path: str = "/predictions") -> Page:
        self.page.goto(self.origin + path)
        return self.page


OpenTab = Callable[..., Tab]


@pytest.fixture(scope="module")
def browser(needs: Callable[[object, str], None]) -> Iterator[Browser]:
    """Chromium; per module, because Playwright keeps an event loop running in this thread."""
    expect.set_options(timeout=TIMEOUT_MS)
    needs(CHROMIUM.exists(), "Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[OpenTab]:
    """`open_tab(origin, size=, dark=, javascript=)`; fails on errors or external requests."""
    tabs: list[Tab] = []

    def open_tab(
        origin: str,
        size: tuple[int, int] = DESKTOP,
        *,
        dark: bool = False,
        javascript: bool = True,
    ) -> Tab:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            java_script_enabled=javascript,
            accept_downloads=True,
        )
        context.set_default_timeout(TIMEOUT_MS)
        tab = Tab(context.new_page(), origin)
        tab.watch()
        tabs.append(tab)
        return tab

    yield open_tab
    for tab in tabs:
        tab.page.context.close()
    assert [url for tab in tabs for url in tab.external_requests] == []
    assert [error for tab in tabs for error in tab.errors] == []
