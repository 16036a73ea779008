"""A deployer's own check in front of the real service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.rows import distinct_rows, shipped
from tests.support.service import Service, operator

CHECK = '''
def check(headers):
    """People of a proxy that has signed them in; it proves itself with a secret."""
    if "x-remote-user" not in headers:
        return None
    if headers.get("x-proxy-secret") != "s3cret":
        raise PermissionError("not from the proxy")
    if headers["x-remote-user"] == "broken":
        raise RuntimeError("the directory is down")
    return headers["x-remote-user"], ["predict", "jobs"]
'''


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("own-check")
    (folder / "company.py").write_text(CHECK)
    settings = {
        "STACKSERVE_ACCESS": "token",
        "STACKSERVE_ACCESS_CHECK": "company:check",
        "PYTHONPATH": str(folder),
    }
    with Service(folder, settings=settings) as running:
        yield running


def person(name: str, secret: str = "s3cret") -> dict[str, str]:
    return {"X-Remote-User": name, "X-Proxy-Secret": secret}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (person("ada"), 200),
        (person("ada", "guess"), 401),
        (person("broken"), 503),
        ({}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
    ],
    ids=["known", "refused", "failing", "nobody", "wrong token"],
)
@pytest.mark.parametrize("route", ["/predict", "/jobs"])
def test_who_gets_in(service: Service, headers: dict[str, str], status: int, route: str) -> None:
    row = distinct_rows(shipped()[1], 1)
    with httpx.Client(base_url=service.url, headers=headers) as client:
        got = client.post(route, json=row) if route == "/predict" else client.get(route)
    assert got.status_code == status, got.text
    assert "s3cret" not in got.text


def test_tokens_still_count(service: Service) -> None:
    assert httpx.get(f"{service.url}/metrics", headers=operator(service.home)).status_code == 200
    assert httpx.get(f"{service.url}/metrics", headers=person("ada")).status_code == 403


def test_everybody_lists_their_own_jobs(service: Service) -> None:
    row = distinct_rows(shipped()[1], 1)
    made = httpx.post(f"{service.url}/jobs", json=row, headers=person("ada"))
    assert made.status_code == 202
    job = f"{service.url}/jobs/{made.json()['id']}"
    assert httpx.get(job, headers=person("ada")).status_code == 200
    assert httpx.get(job, headers=person("bob")).status_code == 404


def test_the_log_holds_no_secret(service: Service) -> None:
    assert "s3cret" not in service.logs()


def test_a_name_that_is_nothing_stops_the_start(tmp_path: Path) -> None:
    wrong = {"STACKSERVE_ACCESS_CHECK": "nowhere:check"}
    with pytest.raises(AssertionError, match="STACKSERVE_ACCESS_CHECK=nowhere:check cannot be"):
        Service(tmp_path, settings=wrong).start()
