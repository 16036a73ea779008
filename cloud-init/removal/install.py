"""Install the program that removes this deployment, with its credential, and run it once.

The launcher runs this over ssh as root. Standard input has the files: a JSON object with the mode
and the text of each path. Nothing secret is in an argument, in the environment or in the output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

UNIT = "expire-stackserve"


def install(files: dict[str, list[str]]) -> None:
    """Write each file at once and with its final mode."""
    for name, (mode, text) in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, int(mode, 8))
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        part.rename(path)


def systemctl(*words: str) -> int:
    return subprocess.run(["systemctl", *words], check=False, stdout=subprocess.DEVNULL).returncode


def main() -> int:
    files = json.load(sys.stdin)
    os.umask(0o022)
    install(files)
    systemctl("daemon-reload")
    if systemctl("start", f"{UNIT}.service") == 0:
        return systemctl("enable", "--quiet", "--now", f"{UNIT}.timer")
    log = ["journalctl", "-u", UNIT, "-n", "3", "-o", "cat", "--no-pager"]
    subprocess.run(log, check=False, stdout=sys.stderr)
    systemctl("disable", "--quiet", "--now", f"{UNIT}.timer")
    for name in files:
        Path(name).unlink(missing_ok=True)
    systemctl("daemon-reload")
    return 1


if __name__ == "__main__":
    sys.exit(main())
