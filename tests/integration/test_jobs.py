"""The job routes, on the service in one process and on the full service."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from tests.support.rows import shipped
from tests.support.service import Service
from tests.support.tables import (
    CSV,
    check_result,
    csv_body,
    csv_pieces,
    fetch_result,
    follow,
    get_job,
    keras_probabilities,
    submit,
    table,
)

JSON = {"Content-Type": "application/json"}
PROBLEM = "application/problem+json"


@pytest.fixture(params=["embedded", "services"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    service: Service = request.getfixturevalue(request.param)
    with httpx.Client(base_url=service.url, timeout=60) as client:
        yield client


@pytest.fixture
def embedded_client(embedded: Service) -> Iterator[httpx.Client]:
    """A client for tests that do not depend on the number of processes."""
    with httpx.Client(base_url=embedded.url, timeout=60) as client:
        yield client


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == PROBLEM
    body = answer.json()
    assert body["code"] == code
    assert body["detail"]
    assert body["remedy"]
    return dict(body)


def test_job_of_1000_rows(client: httpx.Client) -> None:
    registry, card = shipped()
    values = table(card, 1000)
    job = submit(client, csv_body(card, values))
    assert (job["rows"], job["version"]) == (1000, card.version)
    ended = follow(client, job["id"])
    assert (ended["state"], ended["rows_done"], ended["progress"]) == ("done", 1000, 1)
    assert ended["rows_per_second"] > 0
    assert ended["workers"] == [{"host": socket.gethostname(), "chunks": 1, "rows": 1000}]
    check_result(client, job["id"], keras_probabilities(registry, card, values))
    document = client.get(ended["links"]["result_json"]).json()
    assert document["version"] == card.version
    assert [row["row"] for row in document["predictions"]] == list(range(1000))
    assert document["predictions"][0].keys() == {"row", "label", "probability", "positive"}


def test_json_and_csv_give_the_same_predictions(client: httpx.Client) -> None:
    _, card = shipped()
    values = table(card, 300)
    rows = [dict(zip(card.feature_names, row, strict=True)) for row in values.tolist()]
    bodies = [
        (csv_body(card, values), CSV),
        (json.dumps(rows).encode(), JSON),
        (json.dumps(values.tolist()).encode(), JSON),
    ]
    results = []
    for body, headers in bodies:
        answer = client.post("/jobs", content=body, headers=headers)
        assert answer.status_code == 202, answer.text
        follow(client, answer.json()["id"])
        results.append(fetch_result(client, answer.json()["id"]))
    assert results[0] == results[1] == results[2]


def test_no_cache_keeps_a_job_or_its_result(embedded_client: httpx.Client) -> None:
    _, card = shipped()
    job = submit(embedded_client, csv_body(card, table(card, 5)))
    follow(embedded_client, job["id"])
    for url in ("/jobs", f"/jobs/{job['id']}", f"/jobs/{job['id']}/result", "/jobs/none"):
        answer = embedded_client.get(url)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_accept_header_selects_the_format(embedded_client: httpx.Client) -> None:
    _, card = shipped()
    job = submit(embedded_client, csv_body(card, table(card, 5)))
    follow(embedded_client, job["id"])
    url = f"/jobs/{job['id']}/result"
    assert embedded_client.get(url).headers["Content-Type"].startswith("text/csv")
    response = embedded_client.get(url, headers={"Accept": "application/json"})
    assert response.headers["Content-Type"] == "application/json"
    assert problem(embedded_client.get(url, params={"format": "xml"}), 400, "invalid_parameter")


def test_body_without_a_length_is_streamed(client: httpx.Client) -> None:
    _, card = shipped()
    values = table(card, 12_000)
    answer = client.post("/jobs", content=csv_pieces(card, values, 100), headers=CSV)
    assert answer.status_code == 202, answer.text
    assert answer.json()["rows"] == 12_000
    assert follow(client, answer.json()["id"])["state"] == "done"


def test_invalid_rows_are_reported_by_line_and_create_no_job(client: httpx.Client) -> None:
    _, card = shipped()
    before = len(client.get("/jobs", params={"limit": 500}).json()["jobs"])
    lines = csv_body(card, table(card, 20_000)).splitlines()
    lines[7] = lines[7].replace(b",", b",oops", 1)
    lines[15_000] = b"1,,3" + b",1" * (len(card.features) - 3)
    lines[15_001] = b"-1" + lines[15_001][lines[15_001].index(b",") :]
    body = problem(
        client.post("/jobs", content=b"\n".join(lines), headers=CSV), 422, "invalid_rows"
    )
    names = card.feature_names
    assert body["error_count"] == 3
    assert [(e["line"], e["field"], e["code"]) for e in body["errors"]] == [
        (8, names[1], "not_a_number"),
        (15_001, names[1], "missing_value"),
        (15_002, names[0], "impossible"),
    ]
    assert len(client.get("/jobs", params={"limit": 500}).json()["jobs"]) == before


def test_implausible_values_become_warnings_of_the_job(embedded_client: httpx.Client) -> None:
    _, card = shipped()
    values = table(card, 50)
    values[10:13, 7] = card.features[7].high + 1
    job = submit(embedded_client, csv_body(card, values))
    (warning,) = job["warnings"]
    assert (warning["field"], warning["count"], warning["first_line"]) == (
        card.feature_names[7],
        3,
        12,
    )


def test_unknown_columns_are_rejected_or_ignored_on_request(embedded_client: httpx.Client) -> None:
    _, card = shipped()
    lines = csv_body(card, table(card, 3)).decode().splitlines()
    body = "\n".join([f"{lines[0]},Outcome", *(f"{line},1" for line in lines[1:])]).encode()
    refused = problem(embedded_client.post("/jobs", content=body, headers=CSV), 422, "invalid_rows")
    assert refused["errors"][0]["code"] == "unknown_field"
    answer = embedded_client.post("/jobs?ignore_unknown=true", content=body, headers=CSV)
    assert answer.status_code == 202
    assert answer.json()["ignored_columns"] == ["Outcome"]


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"Content-Type": "text/plain"}, b"1", 415, "unsupported_media_type"),
        ({}, b"1", 415, "unsupported_media_type"),
        ({**CSV, "Content-Encoding": "gzip"}, b"1", 415, "unsupported_content_encoding"),
        (JSON, b"{}", 400, "malformed_json"),
        (JSON, b"[[1,2", 400, "malformed_json"),
        (JSON, b"", 400, "malformed_json"),
        (JSON, b"[]", 422, "invalid_rows"),
        (CSV, b"", 422, "invalid_rows"),
        (CSV, b"\xff\xfe\x00", 400, "malformed_csv"),
        ({**CSV, "Idempotency-Key": "k" * 300}, b"1", 400, "invalid_idempotency_key"),
    ],
)
def test_invalid_headers_and_bodies_are_rejected(
    headers: dict[str, str], body: bytes, status: int, code: str, embedded_client: httpx.Client
) -> None:
    problem(embedded_client.post("/jobs", content=body, headers=headers), status, code)


def test_unknown_job_is_not_found(embedded_client: httpx.Client) -> None:
    for call in (embedded_client.get, embedded_client.delete):
        problem(call("/jobs/nobody"), 404, "job_not_found")
    problem(embedded_client.get("/jobs/nobody/result"), 404, "job_not_found")
    problem(embedded_client.put("/jobs/nobody"), 405, "method_not_allowed")


def test_same_key_and_body_return_the_same_job(client: httpx.Client) -> None:
    _, card = shipped()
    body, other = csv_body(card, table(card, 40)), csv_body(card, table(card, 40, seed=12))
    key = f"key-{client.base_url.port}"
    job = submit(client, body, **{"Idempotency-Key": key})
    follow(client, job["id"])
    again = client.post("/jobs", content=body, headers={**CSV, "Idempotency-Key": key})
    assert (again.status_code, again.json()["id"]) == (200, job["id"])
    reused = client.post("/jobs", content=other, headers={**CSV, "Idempotency-Key": key})
    problem(reused, 409, "idempotency_key_reused")
    assert submit(client, body)["id"] != job["id"]


def test_concurrent_requests_with_one_key_create_one_job(client: httpx.Client) -> None:
    _, card = shipped()
    body = csv_body(card, table(card, 6000))
    headers = {**CSV, "Idempotency-Key": f"race-{client.base_url.port}"}
    answers: list[httpx.Response] = []

    def send() -> None:
        answers.append(client.post("/jobs", content=body, headers=headers))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    ended = follow(client, answers[0].json()["id"])
    assert (ended["state"], ended["rows_done"]) == ("done", 6000)


@pytest.mark.parametrize("chunked", [False, True])
def test_interrupted_upload_creates_no_job(chunked: bool, client: httpx.Client) -> None:
    _, card = shipped()
    before = client.get("/jobs").json()["jobs"]
    body = csv_body(card, table(card, 30_000))
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body) + 1}"
    head = f"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n{length}\r\n\r\n".encode()
    sent = f"{len(body):x}\r\n".encode() + body + b"\r\n" if chunked else body
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        connection.sendall(head + sent)
    after_that = submit(client, csv_body(card, table(card, 5)))
    follow(client, after_that["id"])
    jobs = client.get("/jobs").json()["jobs"]
    assert [job["id"] for job in jobs] == [after_that["id"], *(job["id"] for job in before)][:50]


def test_pages_list_all_jobs_newest_first(embedded_client: httpx.Client) -> None:
    _, card = shipped()
    created = [submit(embedded_client, csv_body(card, table(card, 2)))["id"] for _ in range(5)]
    seen: list[str] = []
    url: str | None = "/jobs?limit=2"
    while url:
        page = embedded_client.get(url).json()
        seen += [job["id"] for job in page["jobs"]]
        url = page["next"]
    assert seen[:5] == created[::-1]
    assert len(seen) == len(set(seen))
    for bad in ("0", "501", "x", "-1", "1e1"):
        problem(embedded_client.get("/jobs", params={"limit": bad}), 400, "invalid_parameter")


def test_finished_job_can_be_deleted(client: httpx.Client) -> None:
    _, card = shipped()
    job = submit(client, csv_body(card, table(card, 5)))["id"]
    follow(client, job)
    assert client.delete(f"/jobs/{job}").status_code == 204
    problem(client.get(f"/jobs/{job}"), 404, "job_not_found")


def test_running_job_can_be_cancelled(client: httpx.Client) -> None:
    _, card = shipped()
    for rows in (200_000, 500_000, 1_000_000):  # until one is not done before it is cancelled
        job = submit(client, csv_body(card, table(card, rows)))["id"]
        early = client.get(f"/jobs/{job}/result")
        cancelled = client.delete(f"/jobs/{job}")
        if cancelled.status_code == 200:
            break
    problem(early, 409, "job_not_finished")
    assert early.headers["Retry-After"]
    assert cancelled.json()["state"] == "cancelled"
    assert get_job(client, job)["state"] == "cancelled"
    problem(client.get(f"/jobs/{job}/result"), 410, "job_cancelled")
    assert client.delete(f"/jobs/{job}").status_code == 204
    after = submit(client, csv_body(card, table(card, 100)))
    assert follow(client, after["id"])["state"] == "done", "the queue still works"


def test_limits(tmp_path_factory: pytest.TempPathFactory) -> None:
    _, card = shipped()
    settings = {
        "STACKSERVE_MAX_JOB_ROWS": "100",
        "STACKSERVE_MAX_BODY_BYTES": "20000",
        "STACKSERVE_CHUNK_ROWS": "7",
    }
    with (
        Service(tmp_path_factory.mktemp("limits"), settings=settings) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        job = submit(client, csv_body(card, table(card, 100)))
        ended = follow(client, job["id"])
        assert (ended["state"], ended["chunks"], ended["rows_done"]) == ("done", 15, 100)
        body = csv_body(card, table(card, 101))
        problem(client.post("/jobs", content=body, headers=CSV), 413, "too_many_rows")
        large = csv_body(card, table(card, 1000))
        problem(client.post("/jobs", content=large, headers=CSV), 413, "body_too_large")
        pieces = iter([large[at : at + 1000] for at in range(0, len(large), 1000)])
        problem(client.post("/jobs", content=pieces, headers=CSV), 413, "body_too_large")
        assert len(client.get("/jobs").json()["jobs"]) == 1
        assert np.isclose(get_job(client, job["id"])["progress"], 1)
