"""The second lock of a server: what steps/dependencies.sh adds to a prepared image, for real."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from environment import VENV, ensure_uv, uv_environment

from openstack_client.places import TEMPLATES
from tests.support.service import ROOT

CODE = ROOT / "production_server"


@pytest.mark.parametrize("by", ["url", "name"])
def test_a_prepared_image_gets_what_oidc_needs(tmp_path: Path, by: str) -> None:
    home = tmp_path / "stackserve"
    for folder in ("bin", "app"):
        (home / folder).mkdir(parents=True)
    (home / "app" / "production_server").symlink_to(CODE)
    uv = ensure_uv(VENV)
    (home / "bin" / "uv").symlink_to(uv)
    environment = uv_environment(VENV)
    venv = home / "venv"
    create = [str(uv), "venv", "--quiet", "--python", str(VENV / "bin" / "python"), str(venv)]
    subprocess.run(create, env=environment, check=True)
    usual = hashlib.sha256((CODE / "requirements.txt").read_bytes()).hexdigest()
    (venv / "stackserve-lock").write_text(f"{usual}  -\n")
    script = (TEMPLATES / "files" / "steps" / "dependencies.sh").read_text()
    step = tmp_path / "dependencies.sh"
    step.write_text(script.replace("/opt", str(tmp_path)))
    index = {"UV_DEFAULT_INDEX": environment.get("UV_DEFAULT_INDEX", "https://pypi.org/simple")}
    given = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    given |= {"OIDC": "yes"} | (index if by == "name" else {})
    subprocess.run(["sh", str(step)], env=given, check=True, timeout=200)
    # Without our other packages: only those of the second lock are there.
    check = (
        "from joserfc import jwt; from joserfc.jwk import RSAKey, ECKey, OKPKey; "
        "key = RSAKey.generate_key(2048); "
        "token = jwt.encode({'alg': 'RS256'}, {'sub': 'ann'}, key); "
        "print(jwt.decode(token, key, algorithms=['RS256']).claims['sub'])"
    )
    done = subprocess.run(
        [str(venv / "bin" / "python"), "-c", check], capture_output=True, text=True, check=True
    )
    assert done.stdout == "ann\n"
    extra = hashlib.sha256((CODE / "requirements.oidc.txt").read_bytes()).hexdigest()
    stamp = (venv / "stackserve-lock.new").read_text()
    assert stamp == f"{usual}  - {extra}  -\n"
