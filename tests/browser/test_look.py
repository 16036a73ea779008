"""The layout of the pages: phone and desktop, light and dark, contrast, cohort and charts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.support.chromium import DESKTOP, PHONE, SCREENSHOTS, OpenTab, Tab

# Returns every text whose contrast with the first opaque background behind it is too low.
LOW_CONTRAST = """() => {
  const parse = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) =>
    0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (at) => {
    for (; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walk.nextNode();) {
    const at = node.parentElement, style = getComputedStyle(at), words = node.data.trim();
    if (!words || !at.getClientRects().length || at.closest("noscript")) continue;
    const ink = parse(at.closest("svg") ? style.fill : style.color);
    const [high, low] = [light(ink), light(behind(at))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push(`${words.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


def predict(page: Page, wrong: bool = False) -> None:
    if wrong:
        page.locator("#f-glucose").fill("-4")
        page.locator("#f-bmi").fill("")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.locator("#trouble li, #verdict:not(:empty)").first).to_be_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_pages_fit_and_text_has_enough_contrast(
    open_tab: OpenTab, service: str, size: tuple[int, int], dark: bool
) -> None:
    tab = open_tab(service, size, dark=dark)
    tab.expects_http_errors = True
    for name, path, wrong in (
        ("welcome", "/", None),
        ("predictions", "/predictions", False),
        ("errors", "/predictions", True),
    ):
        page = tab.open(path)
        if wrong is not None:
            predict(page, wrong)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert page.evaluate(LOW_CONTRAST) == []
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        look = f"{name}-{size[0]}-{'dark' if dark else 'light'}"
        page.screenshot(path=SCREENSHOTS / f"{look}.png", full_page=True)


def test_dark_mode_follows_the_system(open_tab: OpenTab, service: str) -> None:
    paper = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    assert max(open_tab(service, dark=True).open().evaluate(paper)) < 60
    assert min(open_tab(service, dark=False).open().evaluate(paper)) > 200


def test_narrow_phone_needs_no_horizontal_scrolling(open_tab: OpenTab, service: str) -> None:
    page = open_tab(service, (320, 640)).open()
    predict(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    for target in page.locator("form button, form input, nav a").all():
        box = target.bounding_box()
        assert box is None or box["height"] >= 40, "too small to touch"


def test_synthetic_cohort_has_a_chart_and_a_table(tab: Tab) -> None:
    page = tab.open()
    cohort = page.locator("#cohort")
    expect(cohort.get_by_text("synthetic", exact=True)).to_be_visible()
    expect(cohort.locator("figure .chart circle")).to_have_count(60)
    expect(cohort.locator("tbody tr")).to_have_count(60)
    chart = cohort.get_by_role("img")
    expect(chart).to_have_attribute(
        "aria-label", "Predicted probabilities of 60 synthetic cases, a row for each class"
    )
    third = cohort.locator("tbody tr").nth(2)
    shown = third.locator("td").first.inner_text()
    third.get_by_role("link").click()
    expect(page.locator("#gauge .figure")).to_have_text(shown)


def test_quality_charts_show_the_card(tab: Tab) -> None:
    page = tab.open()
    quality = page.locator("#quality")
    expect(quality.get_by_text("Accuracy", exact=True)).to_be_visible()
    expect(quality.get_by_role("img", name="ROC curve, area under it")).to_be_visible()
    expect(quality.get_by_role("img", name="Calibration:")).to_be_visible()
    expect(quality.get_by_role("table")).to_contain_text("Predicted diabetes")


def test_pages_have_the_disclaimer(tab: Tab) -> None:
    for path in ("/", "/predictions"):
        page = tab.open(path)
        expect(page.get_by_text("not a medical device").first).to_be_visible()


def test_welcome_page_links_to_the_form(tab: Tab) -> None:
    page = tab.open("/")
    page.get_by_role("link", name="Make a prediction").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Diabetes within five years")
