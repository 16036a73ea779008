"""Which machine a message comes from. A worker VM is not trusted, so its own word is not enough.

Workers send the name of their RabbitMQ account in `user_id`, and RabbitMQ refuses a message with
another account's name. The account of a worker VM has the VM's name in it.
"""

from __future__ import annotations

import re
from typing import Any

from celery import Celery

from production_server.messaging.names import ACCOUNT_PREFIX

# RabbitMQ's default, for a URL without an account.
GUEST = "guest"
HOST = re.compile(r"[A-Za-z0-9._-]{1,64}")


def own_account(app: Celery) -> str | None:
    """The RabbitMQ account of this process; None with the in-memory queue."""
    connection = app.connection_for_write()
    if connection.transport.driver_type == "memory":
        return None
    return connection.userid or GUEST


def signature(app: Celery) -> dict[str, str]:
    """The message properties that name this process's account."""
    account = own_account(app)
    return {"user_id": account} if account else {}


def host_of(properties: dict[str, Any] | None, claimed: object, own: str | None) -> str | None:
    """The host that sent a message with these properties; None if it cannot be known.

    `claimed` is what the message says. It counts only from `own`, the account of this service.
    """
    account = (properties or {}).get("user_id")
    if account != own:
        vm = str(account or "")
        claimed = vm.removeprefix(ACCOUNT_PREFIX) if vm.startswith(ACCOUNT_PREFIX) else None
    return claimed if isinstance(claimed, str) and HOST.fullmatch(claimed) else None
