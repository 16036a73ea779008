"""Imported models of other kinds: the page adapts to their cards."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.support.chromium import PHONE, SCREENSHOTS, OpenTab
from tests.support.service import Service

PENGUINS: dict[str, Any] = {
    "name": "penguins",
    "kind": "multiclass",
    "target": "Penguin species",
    "classes": ["Adelie", "Chinstrap", "Gentoo"],
    "features": [
        {
            "name": "bill_length",
            "label": "Bill length",
            "unit": "mm",
            "low": 30,
            "high": 62,
            "default": 44,
            "minimum": 0,
            "decimals": 1,
        },
        {
            "name": "body_mass",
            "label": "Body mass, at capture",
            "unit": "g",
            "low": 2500,
            "high": 6500,
            "default": 4200,
            "minimum": 0,
        },
        {
            "name": "delta_15_n",
            "label": "δ¹⁵N",
            "unit": "‰",
            "low": -2,
            "high": 12,
            "default": 8.7,
            "decimals": 2,
        },
    ],
}
HOUSES: dict[str, Any] = {
    "name": "houses",
    "kind": "regression",
    "target": "House price",
    "unit": "k€",
    "features": [
        {
            "name": "area",
            "label": "Living area",
            "unit": "m²",
            "low": 20,
            "high": 400,
            "default": 100,
            "minimum": 1,
        },
        {"name": "rooms", "low": 1, "high": 12, "default": 4, "minimum": 1},
    ],
}
MAKE = """
import sys, keras
keras.utils.set_random_seed(7)
for path, inputs, outputs in zip(*[iter(sys.argv[1:])] * 3):
    keras.Sequential([
        keras.Input((int(inputs),)), keras.layers.Rescaling(0.001),
        keras.layers.Dense(int(outputs), activation="softmax" if int(outputs) > 1 else None),
    ]).save(path)
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with two small Keras models, imported as a user would."""
    folder = tmp_path_factory.mktemp("other-models")
    models = {"penguins": (PENGUINS, 3), "houses": (HOUSES, 1)}
    sizes = [
        (str(folder / f"{name}.keras"), str(len(description["features"])), str(outputs))
        for name, (description, outputs) in models.items()
    ]
    subprocess.run([sys.executable, "-c", MAKE, *chain(*sizes)], check=True)
    service = Service(folder)
    imports = []
    with ThreadPoolExecutor() as pool:
        for name, (description, _) in models.items():
            features = folder / f"{name}.json"
            features.write_text(json.dumps(description))
            model = str(folder / f"{name}.keras")
            words = ("models", "import", model, "--features", str(features), "--activate")
            imports.append(pool.submit(service.verb, *words))
    for each in imports:
        each.result()
    with service:
        yield service


@pytest.fixture
def penguins(service: Service) -> str:
    activate(service, "penguins-1")
    return service.url


@pytest.fixture
def houses(service: Service) -> str:
    activate(service, "houses-1")
    return service.url


def predict(page: Page) -> None:
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.locator("#verdict")).not_to_be_empty()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "plain"])
def test_each_of_three_classes_has_a_bar(
    open_tab: OpenTab, penguins: str, javascript: bool
) -> None:
    page = open_tab(penguins, javascript=javascript).open()
    expect(page.get_by_role("heading", level=1)).to_have_text("Penguin species")
    expect(page.get_by_label("Body mass")).to_have_value("4200")
    page.locator("#f-delta_15_n").fill("-1.5")
    predict(page)
    bars = page.locator("#answer .bars li")
    expect(bars).to_have_count(3)
    widths = [
        float(w or 0)
        for w in bars.locator("rect:last-child").evaluate_all(
            "(bars) => bars.map((bar) => bar.getAttribute('width'))"
        )
    ]
    assert sum(widths) == pytest.approx(100, abs=0.2)
    chosen = page.locator("#answer .bars .chosen .name").inner_text()
    assert PENGUINS["classes"][widths.index(max(widths))] == chosen
    expect(page.locator("#verdict")).to_contain_text(f"Most likely {chosen}, with ")


def test_three_classes_have_a_cohort_but_no_quality_without_data(
    open_tab: OpenTab, penguins: str
) -> None:
    page = open_tab(penguins, PHONE).open()
    expect(page.locator("#cohort .chart circle")).to_have_count(60)
    expect(page.locator("#cohort .chart .lane")).to_have_count(3)
    expect(page.locator("#quality")).to_contain_text("has no quality figures")
    predict(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "three-classes.png", full_page=True)


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "plain"])
def test_value_has_its_unit(open_tab: OpenTab, houses: str, javascript: bool) -> None:
    page = open_tab(houses, javascript=javascript).open()
    expect(page.get_by_label("Rooms")).to_have_value("4")
    predict(page)
    value = page.locator("#value").inner_text()
    expect(page.locator("#answer .value")).to_have_text(f"{value} k€")
    expect(page.locator("#verdict")).to_have_text(f"House price: {value} k€.")
    expect(page.locator("#cohort .chart circle")).to_have_count(60)


def test_page_follows_the_active_model(open_tab: OpenTab, service: Service, houses: str) -> None:
    tab = open_tab(houses)
    tab.expects_http_errors = True
    page = tab.open()
    predict(page)
    activate(service, "diabetes-1")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_role("alert").first).not_to_be_empty()
    expect(page.locator("#outcome")).to_be_hidden()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Diabetes within five years")
    expect(page.locator("#cohort .chart .lane").first).to_have_text("drawn from no diabetes")


def activate(service: Service, version: str) -> None:
    """Activate a version, unless it is active, and wait until the service uses it."""
    if active(service) == version:
        return
    service.verb("models", "activate", version)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if active(service) == version:
            return
        time.sleep(0.2)
    raise AssertionError(f"{version} did not become active:\n{service.logs()}")


def active(service: Service) -> str:
    response = httpx.get(f"{service.url}/predictions", headers={"Accept": "application/json"})
    return str(response.json()["version"])
