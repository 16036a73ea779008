"""User data of the usual cloud-config: upgrade, build tools, pip, the tutorial's two programs."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import yaml

from benchmarks.systems import HERE, ROOT

FOLDER = Path("/opt/tutorial")
MARKS = FOLDER / "marks"
PORT = 5100
CONFIG = Path(__file__).with_name("usual_config.yaml")
TUTORIAL = HERE / "peers" / "tutorial"
MODEL = ROOT / "production_server" / "shipped" / "diabetes-1" / "model.keras"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

MARK = f"""#!/bin/sh
echo "$1 $(cut -d ' ' -f 1 /proc/uptime)" >> {MARKS}
"""
# On Debian 12 and later, pip refuses to install beside apt's packages without this permission.
PIP = f"""#!/bin/sh
export HOME=/root PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_CERT={BUNDLE}
exec pip3 "$@"
"""
ENVIRONMENT = f"""BENCH_BROKER_URL=amqp://guest:guest@127.0.0.1:5672//
BENCH_KERAS={FOLDER}/model.keras
"""


def user_data(ca_bundle: str | None, apt_mirror: str | None, pip_index: str | None) -> bytes:
    """The compressed cloud-config, with the settings that this cloud needs to reach its mirrors."""
    config = yaml.safe_load(CONFIG.read_text())
    environment = ENVIRONMENT
    pip = PIP.replace("exec", f"export PIP_INDEX_URL={pip_index}\nexec") if pip_index else PIP
    config["write_files"] = [
        _text(FOLDER / "mark", MARK, "0755"),
        _text(FOLDER / "pip", pip, "0755"),
        _text(FOLDER / "environment", environment, "0644"),
        *(
            _text(FOLDER / name, (TUTORIAL / name).read_text(), "0644")
            for name in ("server.py", "tasks.py")
        ),
        {
            "path": str(FOLDER / "model.keras"),
            "encoding": "b64",
            "permissions": "0644",
            "content": base64.b64encode(MODEL.read_bytes()).decode(),
        },
    ]
    if ca_bundle:
        config["write_files"].append(_text(FOLDER / "ca.pem", ca_bundle, "0644"))
        config["runcmd"].insert(0, ["sh", "-c", f"cat {FOLDER}/ca.pem >> {BUNDLE}"])
    if apt_mirror:
        config["apt"] = {"primary": [{"arches": ["default"], "uri": apt_mirror}]}
    text = "#cloud-config\n" + yaml.safe_dump(config, sort_keys=False)
    return gzip.compress(text.encode(), 9, mtime=0)


def _text(path: Path, content: str, mode: str) -> dict[str, str]:
    return {"path": str(path), "content": content, "permissions": mode}
