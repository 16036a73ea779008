#!/usr/bin/env python3
"""Connect a worker to its server's RabbitMQ, with a password created for this worker.

The broker's address is in the user data; the password is not. `stackserve-add-worker` on the server
creates it and sends it here, over the network that the two share.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from private import SERVICE, SETTINGS, broker_url, write


def main() -> None:
    host, port = os.environ["BROKER_HOST"], int(os.environ["BROKER_PORT"])
    if not SERVICE.exists():
        print("waiting for the server to deliver this worker's password", flush=True)
        account, password = f"worker-{os.environ['NAME']}", received_password()
        address = f"[{host}]" if ":" in host else host
        broker = broker_url(account, password, address, port)
        write(SERVICE, SETTINGS.read_text() + broker, "stackserve")
    try:
        socket.create_connection((host, port), 30).close()
    except OSError as error:
        sys.exit(f"error: cannot reach the server's RabbitMQ at {host} port {port}: {error}")


def received_password() -> str:
    program = Path(__file__).with_name("receive.py")
    done = subprocess.run(
        [str(program), "password"],
        stdout=subprocess.PIPE,
        user="stackserve",
        group="stackserve",
        extra_groups=[],
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"error: receive.py exited with code {done.returncode}")
    return done.stdout.decode("ascii")


if __name__ == "__main__":
    main()
