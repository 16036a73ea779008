#!/usr/bin/env python3
"""Starts RabbitMQ with the service's own account, whose password account.py made.

RabbitMQ reads the definitions file at its first start, so it never has a guest account and
needs no command of its own for each setting.
"""

from __future__ import annotations

import os
import subprocess

from account import STARTED_WITH, configuration, make_definitions

UNIT = "rabbitmq-server.service"


def main() -> None:
    make_definitions()
    # From a prepared image it has been starting for a while.
    early = STARTED_WITH.exists() and STARTED_WITH.read_text() == configuration()
    if not early:
        enable = ["systemctl", "enable", "--quiet", "--no-reload", UNIT]
        # Not for the package's script of old as well, after which systemd reads all units again.
        subprocess.run(enable, env=os.environ | {"SYSTEMCTL_SKIP_SYSV": "1"}, check=True)
    # Its unit says that it has started only when RabbitMQ itself says so.
    subprocess.run(["systemctl", "start" if early else "restart", UNIT], check=True)


if __name__ == "__main__":
    main()
