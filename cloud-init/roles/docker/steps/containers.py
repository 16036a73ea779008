#!/usr/bin/env python3
"""Start the containers, and succeed once a prediction has come back through the queue."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ready import wait

SETTINGS = Path("/etc/stackserve/settings.env")
OF_CONTAINERS = Path("/etc/stackserve/containers.env")
WORKERS = Path("/etc/stackserve/workers")
UNIT = "containers-stackserve.service"
# The image has these for itself.
OF_THE_IMAGE = ("STACKSERVE_HOME=", "STACKSERVE_HOST=", "STACKSERVE_PORT=")
# An image that was pulled knows from which code it was built.
OF_A_PULLED_IMAGE = (*OF_THE_IMAGE, "STACKSERVE_CODE_HASH=")


def main() -> None:
    theirs = OF_A_PULLED_IMAGE if os.environ.get("IMAGE_TAG") else OF_THE_IMAGE
    lines = SETTINGS.read_text().splitlines()
    ours = [one for one in lines if one.startswith("STACKSERVE_") and not one.startswith(theirs)]
    OF_CONTAINERS.write_text("".join(f"{line}\n" for line in ours))
    if not WORKERS.exists():
        wanted = os.environ["WORKERS"]
        WORKERS.write_text(f"{workers(os.cpu_count() or 1) if wanted == 'auto' else wanted}\n")
    subprocess.run(["systemctl", "enable", "--quiet", UNIT], check=True)
    subprocess.run(["systemctl", "start", "--no-block", UNIT], check=True)
    url = f"http://127.0.0.1:{os.environ['PORT']}/ready"
    version = wait(url, int(os.environ["READY_TIMEOUT"]), [UNIT])
    print(f"ready: model {version}", flush=True)
    subprocess.run(["sync"], check=True)


def workers(cores: int) -> int:
    """The default of production_server: half the cores, at least 1, at most 4."""
    return max(1, min(4, cores // 2))


if __name__ == "__main__":
    main()
