"""The health check of every container: healthy.py FILE PORT

A worker and the recorder change FILE while they work. The web tier has none and answers on PORT.
The standard library is enough, and little of it: this runs every few seconds in each container.
"""

from __future__ import annotations

import os
import socket
import sys
import time

OLDEST_SECONDS = 60.0
ANSWER_SECONDS = 5.0
QUESTION = b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def main(file: str, port: int) -> str:
    """Why this container is not healthy; "" if it is."""
    try:
        # pathlib would take longer to import than all the rest.
        age = time.time() - os.stat(file).st_mtime  # noqa: PTH116
    except FileNotFoundError:
        return web(port)
    return "" if age < OLDEST_SECONDS else f"it has not worked for {age:.0f} s"


def web(port: int) -> str:
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(QUESTION)
            # Whatever it answers: who may ask is another question.
            return "" if connection.recv(16).startswith(b"HTTP/1.1 ") else "it answers no HTTP"
    except OSError as error:
        return f"it does not answer on port {port}: {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])) or None)
