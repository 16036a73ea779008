"""Stands in for systemd-run where systemd does not run.

It gives the command its environment and, for a dynamic user, another account. There is no sandbox.

systemd_run.py [--quiet ...] [--property=NAME=VALUE ...] COMMAND...
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

NOBODY = 65534


def main(words: list[str]) -> None:
    options = []
    while words[0].startswith("--"):
        options.append(words.pop(0))
    values = [tuple(o.split("=", 2)[1:]) for o in options if o.startswith("--property=")]
    environment = {"PATH": os.environ["PATH"]}
    for name, value in values:
        if name == "EnvironmentFile":
            lines = Path(value).read_text().splitlines()
            environment.update(line.split("=", 1) for line in lines)  # type: ignore[arg-type]
    for name, value in values:
        if name == "Environment":
            environment.update([value.split("=", 1)])  # type: ignore[list-item]
        elif name == "WorkingDirectory":
            os.chdir(value)
    if ("DynamicUser", "yes") in values:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    os.execve(words[0], words, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
