"""The audit log: a line of JSON for each change and each sign-in, without values or tokens."""

from __future__ import annotations

import logging

import orjson
from flask import request

from production_server.web.access import current

log = logging.getLogger("stackserve.audit")


def note(action: str, *, who: str | None = None, **details: str | int) -> None:
    """Record what the caller of the current request did."""
    caller = current()
    line = {
        "action": action,
        "who": who or caller.owner or caller.name,
        "address": request.remote_addr,
        **details,
    }
    # JSON escapes line breaks, so that nobody can forge a line.
    log.info("%s", orjson.dumps(line).decode())
