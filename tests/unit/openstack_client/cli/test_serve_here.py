"""The environment of the local service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from openstack_client.cli.serve_here import environment

ROOT = Path(__file__).resolve().parents[4]


def test_a_checkout_is_put_on_the_python_path() -> None:
    assert environment({"A": "b"}, ROOT) == {
        "A": "b",
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
    }


def test_a_wheel_leaves_the_python_path_alone() -> None:
    assert environment({"A": "b"}, None) == {"A": "b", "PYTHONSAFEPATH": "1"}
    inherited = {"PYTHONPATH": "/extra"}
    assert environment(inherited, None)["PYTHONPATH"] == "/extra"
    assert environment(inherited, ROOT)["PYTHONPATH"] == f"{ROOT}:/extra"


def test_the_name_for_a_certificate_reaches_the_service() -> None:
    given = {"domain": "clinic.example.org", "acme_server": None}
    found = environment({}, None, given)
    assert found == {"STACKSERVE_TLS_DOMAIN": "clinic.example.org", "PYTHONSAFEPATH": "1"}


def test_a_folder_of_the_same_name_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "production_server.py").write_text("raise SystemExit('imported from here')")
    shown = subprocess.run(
        [sys.executable, "-m", "production_server", "--version"],
        cwd=tmp_path,
        env=environment({}, ROOT),
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stdout.startswith("stackserve "), shown.stderr
