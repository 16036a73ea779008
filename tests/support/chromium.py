"""A real Chromium that is told on when it misbehaves: the fixtures of tests that use a browser."""

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
PATIENCE = 20_000  # milliseconds: the machine may be busy with other tests
PHONE, DESKTOP = (390, 844), (1280, 900)
SHOTS = ROOT / ".cache" / "screenshots"


@dataclass
class Tab:
    """A page, with every request that left the service's origin and every console error."""

    page: Page
    origin: str
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    refusals_expected: bool = False

    def watch(self) -> None:
        self.page.on("request", lambda request: self._request(request.url))
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _request(self, url: str) -> None:
        if not url.startswith((f"{self.origin}/", "blob:", "data:")):
            self.foreign.append(url)

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium logs each 4xx as an error; a test that provokes one says so.
        refused = "Failed to load resource" in message.text and self.refusals_expected
        if message.type in ("error", "warning") and not refused:
            self.errors.append(message.text)

    def open(self, path: str = "/predictions") -> Page:
        self.page.goto(self.origin + path)
        return self.page


OpenTab = Callable[..., Tab]


@pytest.fixture(scope="session")
def browser(needs: Callable[[object, str], None]) -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    needs(CHROMIUM.exists(), f"no {CHROMIUM}; apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_tab(browser: Browser) -> Iterator[OpenTab]:
    """`open_tab(origin, size=, dark=, javascript=)`; afterwards no tab may have misbehaved."""
    tabs: list[Tab] = []

    def make(
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
        context.set_default_timeout(PATIENCE)
        tab = Tab(context.new_page(), origin)
        tab.watch()
        tabs.append(tab)
        return tab

    yield make
    for tab in tabs:
        tab.page.context.close()
    assert [url for tab in tabs for url in tab.foreign] == []
    assert [error for tab in tabs for error in tab.errors] == []
