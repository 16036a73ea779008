"""The list of what a server installs (SBOM), made by cyclonedx-py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.scripts import script
from tests.support.service import ROOT


@pytest.mark.long
def test_the_sbom_lists_what_a_server_installs(tmp_path: Path) -> None:
    """cyclonedx-py has checked it against the schema."""
    audit = script("audit")
    audit.write_sbom(tmp_path / "server.json")
    sbom = json.loads((tmp_path / "server.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    listed = {f"{part['name']}=={part['version']}" for part in sbom["components"]}
    lock = (ROOT / audit.SERVERS).read_text()
    assert listed == set(re.findall(r"^[a-z0-9._-]+==[^\s\\]+", lock, re.MULTILINE))
    hashes = {
        known["content"]
        for part in sbom["components"]
        for place in part["externalReferences"]
        for known in place.get("hashes", [])
    }
    assert hashes == set(re.findall(r"sha256:([0-9a-f]{64})", lock))
