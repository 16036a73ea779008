"""Names that are paths or log lines: of jobs, static files, uploads, and versions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from production_server.errors import RegistryError
from production_server.model.registry import SHIPPED, Registry
from tests.unit.production_server.web.fronts import Exchange
from tests.unit.production_server.web.sites import ROWS, Site

SECRET = "the-content-of-a-secret-file"
# As a client spells them in a URL; Uvicorn decodes them once.
PATHS = (
    *("../secret", "..%2fsecret", "%2e%2e/secret", "..%5csecret", "....//secret", "/secret"),
    *("%2fetc%2fpasswd", "..%00secret", "secret%0a", ".", "..", "%", "%c0%ae%c0%ae%2fsecret"),
)
LINES = 'x\r\n{"action":"sign-in","who":"token:boss"}\x1b[2J\u2028'


@pytest.fixture
def served(open_site: Site, tmp_path: Path) -> Site:
    """A site with files beside those that it serves."""
    (tmp_path / "secret").write_text(SECRET)
    return open_site


@pytest.mark.parametrize("name", PATHS)
def test_no_name_leads_to_another_file(served: Site, name: str) -> None:
    client = served.client()
    for path in (f"/static/{name}", f"/jobs/{name}", f"/jobs/{name}/result", f"/models/{name}"):
        for method in ("GET", "DELETE"):
            who = "models" if path.startswith("/models") else "operate"
            answer = client.open(path, method=method, headers=served.tokens[who])
            assert answer.status_code in {301, 308, 400, 404, 405, 200}, path
            assert SECRET not in answer.text and "root:" not in answer.text
            if answer.status_code == 200:
                # It was only another way to spell one of our pages.
                assert answer.request.path in {"/static/", "/jobs", "/models"}, path


def test_static_files_are_those_of_the_package(served: Site) -> None:
    client = served.client()
    assert client.get("/static/style.css").status_code == 200
    for name in ("../templates/base.html", "../app.py", "..%2fapp.py", "%2e%2e%2fapp.py"):
        assert client.get(f"/static/{name}").status_code == 404, name


@pytest.mark.parametrize("name", ["../../secret", "/tmp/secret", LINES, "x" * 5000, "con\0.csv"])
def test_the_name_of_an_upload_names_no_file(served: Site, tmp_path: Path, name: str) -> None:
    before = sorted(path for path in tmp_path.rglob("*") if "jobs.sqlite3" not in path.name)
    for path in ("/jobs", "/predictions"):
        files = {"file": (io.BytesIO(ROWS.encode()), name)}
        answer = served.client().post(path, data=files, content_type="multipart/form-data")
        assert 400 <= answer.status_code < 500, answer.text
    after = sorted(path for path in tmp_path.rglob("*") if "jobs.sqlite3" not in path.name)
    assert after == before
    assert (tmp_path / "secret").read_text() == SECRET


@pytest.mark.parametrize(
    "version", ["../diabetes-1", "/diabetes-1", "diabetes-1/", "diabetes-1\n", "diabetes-1\0", ""]
)
def test_a_version_is_a_name_and_no_path(tmp_path: Path, version: str) -> None:
    registry = Registry(tmp_path / "in" / "models")
    registry.seed()
    outside = tmp_path / "in" / "diabetes-1"
    outside.mkdir()
    for attempt in (registry.card, registry.model_path, registry.delete, registry.activate):
        with pytest.raises(RegistryError, match="has no version"):
            attempt(version)
    with pytest.raises(RegistryError, match="not the name of a version"):
        registry.receive(version, None, lambda _: pytest.fail("written"))
    assert outside.is_dir() and registry.versions() == Registry(SHIPPED).versions()


def test_no_name_makes_a_line_of_the_log(served: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Each record is one line, and the audit log's are whole JSON."""
    caplog.set_level("DEBUG")
    client = served.client()
    token = served.tokens["operate"]
    client.post("/sign-in", data={"token": LINES})
    client.get(f"/jobs/{LINES}", headers=token)
    client.delete(f"/jobs/{LINES}", headers=token)
    made = client.post(
        "/jobs", data=ROWS, content_type="text/csv", headers=token | {"Idempotency-Key": "k\x1b[2J"}
    )
    client.delete(f"/jobs/{made.get_json().get('id', 'none')}", headers=token)
    exchange = Exchange("GET", "/models", host=LINES.encode("ascii", "replace").decode())
    exchange.send(served.front)
    ours = [record for record in caplog.records if record.name.startswith("stackserve")]
    assert ours, "something was logged"
    for record in ours:
        text = record.getMessage()
        assert not set(text) & set("\r\n\x1b\u2028"), text
        if record.name == "stackserve.audit":
            assert json.loads(text)["who"] != "token:boss"
