#!/usr/bin/env python3
"""Makes the password of the service's own account at RabbitMQ, so that it is in no user data.

Made before RabbitMQ is there: the services, which read it, start beside RabbitMQ, not after it.
"""

from __future__ import annotations

import secrets

from private import SERVICE, SETTINGS, VHOST, broker_url, write


def main() -> None:
    if SERVICE.exists():
        return
    broker = broker_url(VHOST, secrets.token_urlsafe(32), "127.0.0.1", 5672)
    write(SERVICE, SETTINGS.read_text() + broker, "stackserve")


if __name__ == "__main__":
    main()
