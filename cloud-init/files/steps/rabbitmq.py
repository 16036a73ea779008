#!/usr/bin/env python3
"""Starts RabbitMQ with the service's own account, whose password account.py made.

RabbitMQ reads the definitions file at its first start, so it never has a guest account and
needs no command of its own for each setting.
"""

from __future__ import annotations

import subprocess

from account import STARTED_WITH, configuration, make_definitions


def main() -> None:
    make_definitions()
    subprocess.run(["systemctl", "enable", "--quiet", "rabbitmq-server.service"], check=True)
    # From a prepared image it has been starting for a while.
    early = STARTED_WITH.exists() and STARTED_WITH.read_text() == configuration()
    # Its unit says that it has started only when RabbitMQ itself says so.
    verb = "start" if early else "restart"
    subprocess.run(["systemctl", verb, "rabbitmq-server.service"], check=True)


if __name__ == "__main__":
    main()
