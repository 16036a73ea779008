"""What the service's own process inherits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from openstack_client.cli.serve_here import environment

ROOT = Path(__file__).resolve().parents[4]


def test_from_a_checkout_python_finds_the_service_there() -> None:
    assert environment({"A": "b"}, ROOT) == {
        "A": "b",
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
    }


def test_from_a_wheel_python_looks_only_where_it_did() -> None:
    assert environment({"A": "b"}, None) == {"A": "b", "PYTHONSAFEPATH": "1"}
    inherited = {"PYTHONPATH": "/extra"}
    assert environment(inherited, None)["PYTHONPATH"] == "/extra"
    assert environment(inherited, ROOT)["PYTHONPATH"] == f"{ROOT}:/extra"


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
