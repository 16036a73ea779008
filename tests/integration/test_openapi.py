"""Any request to a documented route gets a documented response, and never a 5xx."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import Service, operator

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,negative_data_rejection,"
    "unsupported_method"
)
# Of each operation, without a token and with one for everything.
EXAMPLES = {"anonymous": 40, "operator": 15}
# 413 is listed because the service rejects requests with too many rows as too large; 401 because
# it asks for a token before it looks at the rest.
CONFIG = """
[checks]
negative_data_rejection.expected-statuses = [400, 401, 404, 405, 406, 409, 413, 415, 422, 429]
"""


@pytest.mark.parametrize("caller", EXAMPLES)
def test_schemathesis_finds_nothing(embedded: Service, tmp_path: Path, caller: str) -> None:
    # Uses the command line, because the pytest plugin does not support this version of pytest.
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    headers = operator(embedded.home) if caller == "operator" else {}
    more = [word for name in headers for word in ("--header", f"{name}: {headers[name]}")]
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "--config-file",
            str(config),
            "run",
            f"{embedded.url}/openapi.json",
            "--checks",
            CHECKS,
            "--max-examples",
            str(EXAMPLES[caller]),
            "--seed",
            "1",
            "--no-color",
            # Its answer does not end; test_operations.py has its tests.
            "--exclude-path",
            "/operations/events",
            "--request-timeout",
            "30",
            "--generation-database",
            "none",
            *more,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
