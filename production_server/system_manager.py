"""Messages to systemd, if it runs this process and wants to know."""

from __future__ import annotations

import socket

from production_server.settings import notify_socket


def notify(message: str) -> None:
    """Send lines such as STATUS=... or MAINPID=..."""
    address = notify_socket()
    if address is None:
        return
    # systemd spells an abstract socket with @.
    path = f"\0{address[1:]}" if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(message.encode(), path)
        except OSError:
            return  # nothing depends on it but a message
