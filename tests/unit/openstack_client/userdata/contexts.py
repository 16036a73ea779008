"""Contexts for tests: a small substitute for the code, and golden inputs from JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openstack_client.roles import TlsKind, ours
from openstack_client.userdata import CarriedFile, UserDataContext
from openstack_client.userdata.render import cloud_config

GOLDEN = Path(__file__).parent / "golden"
CHECKOUT = Path(__file__).resolve().parents[4]
CODE = (
    CarriedFile(path="production_server/__main__.py", content=b"print('service')\n"),
    CarriedFile(
        path="production_server/requirements.txt", content=b"flask==3.1.3 --hash=sha256:abc\n"
    ),
    CarriedFile(path="production_server/shipped/diabetes-1/card.json", content=b"{}"),
    CarriedFile(path="production_server/shipped/diabetes-1/model.keras", content=b"weights"),
)


def context(**values: Any) -> UserDataContext:
    return UserDataContext(**{"name": "demo", "code": CODE, **values})


def golden_context(case: Path) -> UserDataContext:
    values = json.loads(case.read_text())
    if kind := values.pop("tls", None):
        values["role"] = ours(values["role"]).with_tls(TlsKind(kind))
    return context(**values)


def golden_text(case: Path) -> str:
    """The case's cloud-config, with file names instead of file contents."""
    return cloud_config(golden_context(case), b"the payload", lambda name: f"<{name}>\n")


if __name__ == "__main__":
    # After changing the templates: regenerate the golden files, then review the diff.
    for case in sorted(GOLDEN.glob("*.json")):
        case.with_suffix(".yaml").write_text(golden_text(case))
