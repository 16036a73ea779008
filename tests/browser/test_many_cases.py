"""Upload a file of cases on /predictions: progress, result, cancellation and rejection."""

from __future__ import annotations

import csv
import re
import socket
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.chromium import Tab


@pytest.fixture
def cases(service: str, tmp_path: Path) -> Path:
    """The 1,000 synthetic cases that the page offers."""
    path = tmp_path / "cases.csv"
    urllib.request.urlretrieve(f"{service}/predictions/sample.csv", path)
    return path


def upload(page: Page, path: Path) -> None:
    page.get_by_label("CSV file").set_input_files(path)
    page.get_by_role("button", name="Upload and predict").click()


def test_thousand_rows_from_upload_to_result(tab: Tab, cases: Path) -> None:
    page = tab.open()
    seen = record_progress(page)
    upload(page, cases)
    state = page.locator("#job-state")
    expect(state).to_have_text("Done", timeout=60_000)
    expect(page.locator("#job-count")).to_have_text("1,000 of 1,000 rows")
    expect(page.locator("#job-workers")).to_have_text(f"{socket.gethostname()}: 1,000 rows")
    assert page.evaluate(seen) == sorted(page.evaluate(seen)), "progress went backwards"
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download the result (CSV)").click()
    with waiting.value.path().open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1000
    assert [row["row"] for row in rows] == [str(number) for number in range(1000)]
    assert all(0 <= float(row["probability"]) <= 1 and not row["error"] for row in rows)
    assert_same_as_form(page, cases, rows[7])
    page.reload()
    expect(state).to_have_text("Done")  # the URL has the job id, so a reload shows it again


def record_progress(page: Page) -> str:
    """Record every value of the progress bar; return the expression that reads them."""
    page.evaluate("""() => {
        window.seen = [];
        new MutationObserver(() => {
            if (document.getElementById("job-count").textContent.includes("rows"))
                window.seen.push(document.getElementById("job-bar").value);
        }).observe(document.getElementById("job-count"), {childList: true});
    }""")
    return "window.seen"


def assert_same_as_form(page: Page, cases: Path, row: dict[str, str]) -> None:
    with cases.open(newline="") as file:
        values = list(csv.DictReader(file))[7]
    for name, value in values.items():
        page.locator(f"#f-{name}").fill(value)
    page.get_by_role("button", name="Predict", exact=True).click()
    meter = page.get_by_role("meter", name="Probability of diabetes")
    expect(meter).to_have_attribute("aria-valuenow", str(round(float(row["probability"]) * 100)))


def test_sample_file_can_be_uploaded(tab: Tab, tmp_path: Path) -> None:
    page = tab.open()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download 1,000 synthetic cases").click()
    assert waiting.value.suggested_filename == "synthetic-diabetes.csv"
    path = tmp_path / "sample.csv"
    waiting.value.save_as(path)
    upload(page, path)
    expect(page.locator("#job-state")).to_have_text("Done", timeout=60_000)


def test_extra_column_is_ignored_and_reported(tab: Tab, cases: Path) -> None:
    header, *lines = cases.read_text().splitlines()[:11]
    cases.write_text("\n".join([f"name,{header}", *(f"x,{line}" for line in lines)]))
    page = tab.open()
    upload(page, cases)
    expect(page.locator("#job-state")).to_have_text("Done", timeout=60_000)
    expect(page.locator("#job-notes")).to_contain_text("name")


def test_rejected_file_shows_line_and_column(tab: Tab, cases: Path) -> None:
    tab.expects_http_errors = True
    lines = cases.read_text().splitlines()[:20]
    lines[4] = lines[4].replace(",", ",x", 1)
    cases.write_text("\n".join(lines))
    page = tab.open()
    upload(page, cases)
    alert = page.locator("#job-trouble")
    expect(alert).to_contain_text("line 5")
    expect(alert).to_contain_text("glucose")
    expect(page.locator("#job-state")).to_have_text("Not accepted")
    expect(page.get_by_role("link", name="Download the result (CSV)")).to_be_hidden()


def test_running_job_is_cancelled(tab: Tab, cases: Path, service: str) -> None:
    header, *lines = cases.read_text().splitlines()
    cases.write_text("\n".join([header, *(lines * 100)]))
    page = tab.open()
    upload(page, cases)
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.locator("#job-state")).to_have_text("Cancelled", timeout=60_000)
    expect(page.get_by_role("button", name="Cancel the job")).to_be_hidden()
    expect(page.get_by_role("link", name="Download the result (CSV)")).to_be_hidden()


def test_job_finished_before_the_cancel_keeps_its_result(
    tab: Tab, cases: Path, service: str
) -> None:
    page = tab.open()
    # Hold the page's requests for the job, so that it does not see the progress.
    page.route(re.compile(r"/jobs/\w+$"), lambda _route: None)
    with page.expect_response("**/jobs?*"):
        upload(page, cases)
    while newest_state(page, service) != "done":
        page.wait_for_timeout(50)
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as cancelled:
        page.get_by_role("button", name="Cancel the job").click()
    assert cancelled.value.status == 200
    assert newest_state(page, service) == "done"
    page.unroute_all()  # releases the requests
    expect(page.locator("#job-state")).to_have_text("Done", timeout=60_000)
    expect(page.get_by_role("link", name="Download the result (CSV)")).to_be_visible()


def test_a_second_attempt_after_a_lost_response_makes_no_second_job(
    tab: Tab, cases: Path, service: str
) -> None:
    tab.expects_http_errors = True
    page = tab.open()
    before = len(jobs_of(page, service))

    def lose(route: Route) -> None:
        # The server accepts the job, but its response never arrives. (Chromium does not show the
        # bytes of a file to the test.)
        assert route.fetch(post_data=cases.read_bytes()).status == 202
        route.abort()

    page.route("**/jobs?*", lose, times=1)
    upload(page, cases)
    expect(page.locator("#job-state")).to_have_text("Not accepted", timeout=60_000)
    assert len(jobs_of(page, service)) == before + 1
    page.get_by_role("button", name="Upload and predict").click()
    expect(page.locator("#job-state")).to_have_text("Done", timeout=60_000)
    assert len(jobs_of(page, service)) == before + 1
    page.get_by_role("button", name="Upload and predict").click()
    expect(page.locator("#job-state")).to_have_text("Done", timeout=60_000)
    assert len(jobs_of(page, service)) == before + 2, "a finished upload may be repeated on purpose"


def jobs_of(page: Page, service: str) -> list[dict[str, object]]:
    """The jobs that this browser created, the newest first."""
    answer = page.request.get(f"{service}/jobs?limit=500")
    jobs: list[dict[str, object]] = answer.json()["jobs"]
    return jobs


def newest_state(page: Page, service: str) -> object:
    return jobs_of(page, service)[0]["state"]
