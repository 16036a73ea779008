"""One case on /predictions: result, errors, keyboard, and use without JavaScript."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

from playwright.sync_api import Page, expect

from tests.support.chromium import PHONE, OpenTab, Tab

SICK = {"glucose": "181", "bmi": "38.4", "age": "52", "pregnancies": "8"}
WRONG = {
    "pregnancies": ("abc", "Is not a number: 'abc'."),
    "glucose": ("", "Has no value."),
    "blood_pressure": ("nan", "Is not a number (NaN)."),
    "skin_thickness": ("inf", "Is infinite."),
    "insulin": ("-4", "Cannot be -4"),
    "bmi": ("33,6", "Is not a number: '33,6'. Write decimals with a point."),
}


def fill(page: Page, values: dict[str, str]) -> None:
    for name, value in values.items():
        page.locator(f"#f-{name}").fill(value)


def api_prediction(service: str, page: Page) -> dict[str, Any]:
    """The response of POST /predict to the values in the form."""
    boxes = page.locator("#form input").all()
    row = {box.get_attribute("name"): float(box.input_value()) for box in boxes}
    request = urllib.request.Request(
        f"{service}/predict",
        json.dumps(row).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)["predictions"][0]
    return answer


def test_prediction_appears_on_the_same_page(tab: Tab, service: str) -> None:
    page = tab.open()
    expect(page.locator("#outcome")).to_be_hidden()
    fill(page, SICK)
    page.get_by_role("button", name="Predict", exact=True).click()
    meter = page.get_by_role("meter", name="Probability of diabetes")
    expect(meter).to_be_visible()
    truth = api_prediction(service, page)
    assert truth["positive"]
    assert meter.get_attribute("aria-valuenow") == str(round(truth["probability"] * 100))
    expect(page.get_by_role("status").filter(has_text="Diabetes:")).to_contain_text(
        f"the probability of diabetes is {round(truth['probability'] * 100)}%, at or above"
    )
    expect(page.locator("#source")).to_have_text("Predicted by diabetes-1")
    assert page.url == f"{service}/predictions"  # no measurement in the address or the history


def test_each_invalid_value_has_an_error_beside_its_field(tab: Tab) -> None:
    tab.expects_http_errors = True
    page = tab.open()
    fill(page, {name: value for name, (value, _) in WRONG.items()})
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").locator("li")).to_have_count(len(WRONG))
    for name, (_, words) in WRONG.items():
        expect(page.locator(f"#f-{name}-error")).to_contain_text(words)
        expect(page.locator(f"#f-{name}")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#f-pregnancies")).to_be_focused()
    expect(page.locator("#f-age-error")).to_be_empty()
    page.get_by_role("alert").get_by_role("link", name="Insulin").click()
    expect(page.locator("#f-insulin")).to_be_focused()
    fill(page, dict.fromkeys(WRONG, "30"))
    page.keyboard.press("Enter")
    expect(page.locator("#outcome")).to_be_visible()
    expect(page.locator("[aria-invalid]")).to_have_count(0)
    expect(page.locator("#trouble")).to_be_hidden()


def test_implausible_value_gives_a_warning(tab: Tab) -> None:
    page = tab.open()
    fill(page, {"glucose": "400"})
    page.keyboard.press("Enter")
    expect(page.locator("#outcome")).to_be_visible()
    expect(page.locator("#warnings li")).to_have_count(1)
    expect(page.locator("#warnings")).to_contain_text("out of the plausible range 40 to 250")


def test_form_works_with_the_keyboard_alone(tab: Tab) -> None:
    page = tab.open()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#f-pregnancies")).to_be_focused()
    for value in ("8", "181", "72", "29", "125", "38.4", "0.373", "52"):
        assert focus_is_visible(page)
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type(value)
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Predict", exact=True)).to_be_focused()
    assert focus_is_visible(page)
    page.keyboard.press("Space")
    expect(page.get_by_role("meter")).to_be_visible()


def focus_is_visible(page: Page) -> bool:
    """Whether the focused element, or the box around it, has an outline of at least 2 px."""
    widths: list[float] = page.evaluate("""() => {
        const at = document.activeElement;
        return [at, at.parentElement].map(getComputedStyle)
            .map((s) => s.outlineStyle === "none" ? 0 : parseFloat(s.outlineWidth));
    }""")
    return max(widths) >= 2


def test_form_works_without_javascript(open_tab: OpenTab, service: str) -> None:
    page = open_tab(service, PHONE, javascript=False).open()
    fill(page, SICK)
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page).to_have_url(re.compile(r"/predictions\?.*glucose=181.*#answer$"))
    expect(page.get_by_role("meter", name="Probability of diabetes")).to_be_in_viewport()
    expect(page.locator("#verdict")).to_contain_text("at or above the threshold of 50%")
    expect(page.locator("#f-glucose")).to_have_value("181")
    expect(page.locator("#upload")).to_be_hidden()
    expect(page.locator("noscript pre")).to_contain_text(f"curl {service}/jobs")


def test_errors_show_without_javascript(open_tab: OpenTab, service: str) -> None:
    tab = open_tab(service, javascript=False)
    tab.expects_http_errors = True
    page = tab.open()
    fill(page, {name: value for name, (value, _) in WRONG.items()})
    page.get_by_role("button", name="Predict", exact=True).click()
    for name, (value, words) in WRONG.items():
        expect(page.locator(f"#f-{name}-error")).to_contain_text(words)
        expect(page.locator(f"#f-{name}")).to_have_value(value)
    expect(page.get_by_role("alert").locator("li")).to_have_count(len(WRONG))


def test_script_and_server_render_the_same_result(open_tab: OpenTab, service: str) -> None:
    tab, plain = open_tab(service), open_tab(service, javascript=False)
    drawn = []
    for page in (tab.open(), plain.open()):
        fill(page, {**SICK, "glucose": "400"})
        page.get_by_role("button", name="Predict", exact=True).click()
        expect(page.get_by_role("meter")).to_be_visible()
        figure = page.locator("#gauge .figure").text_content()
        drawn.append(
            (
                figure,
                page.locator("#verdict").text_content(),
                page.locator("#warnings").inner_text(),
                page.locator("#gauge .fill").get_attribute("class"),
            )
        )
    assert drawn[0] == drawn[1]
