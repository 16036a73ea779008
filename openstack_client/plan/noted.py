"""The service's settings with which a server was created, noted in its metadata. Pure.

They are in its user data, so they take effect only when it is created.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from openstack_client.cloud.resources import Server
from openstack_client.plan import inventory
from openstack_client.plan.model import Parcel, ServerPlan

PREFIX = "STACKSERVE_"
ACCESS = "STACKSERVE_ACCESS"
DEFAULT_ACCESS = "open"
PRESETS = (DEFAULT_ACCESS, "token", "oidc")
# It is always noted. A server without it is of a release that noted none of these.
ACCESS_KEY = "stackserve_access"
NAMES = (
    ACCESS,
    *(f"STACKSERVE_OIDC_{name}" for name in ("ISSUER", "AUDIENCE", "CLIENT", "CLAIM", "SCOPES")),
    "STACKSERVE_RATE_LIMIT",
)
# Nova keeps no more of a value.
LONGEST = 255

Values = Sequence[tuple[str, str]]


def as_metadata(values: Values) -> dict[str, str]:
    """What to note about a server that is created with these settings."""
    given = {ACCESS: DEFAULT_ACCESS, **dict(values)}
    return {name.lower(): _short(given[name]) for name in NAMES if name in given}


def differences(server: Server, values: Values | None) -> list[str]:
    """How the noted settings differ from these; empty also if none are noted."""
    has = server.metadata
    if values is None or ACCESS_KEY not in has:
        return []
    wants = as_metadata(values)
    return [
        f"{flag(name)} {has.get(key) or 'none'}, not {wants.get(key) or 'none'}"
        for name in NAMES
        if has.get(key := name.lower()) != wants.get(key)
    ]


def preset(front: ServerPlan, asked: str) -> str | None:
    """The preset that the front end will have; None if a server that stays does not say."""
    if not front.keeps_server or front.server is None:
        return asked
    has = front.server.metadata
    same = front.parcel is not None and has.get(inventory.DATA_KEY) == front.parcel.digest
    found = has.get(ACCESS_KEY, asked if same else None)
    return found if found in PRESETS else None


def unknown(server: Server, parcel: Parcel) -> str:
    """What to say of an older server that may lack these settings; empty if there is nothing."""
    same = server.metadata.get(inventory.DATA_KEY) == parcel.digest
    if same or ACCESS_KEY in server.metadata or not parcel.service:
        return ""
    asked = " ".join(f"{flag(name)} {value}" for name, value in parcel.service)
    return (
        f"server {server.name!r} does not say whether it was created with {asked}, and deploy does "
        "not change that. --recreate replaces the server; its address stays, its jobs do not."
    )


def flag(name: str) -> str:
    """The flag of deploy for a setting of the service."""
    return "--" + name.removeprefix(PREFIX).lower().replace("_", "-")


def _short(value: str) -> str:
    if len(value) <= LONGEST:
        return value
    return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"


def metadata_of(parcel: Parcel) -> Mapping[str, str]:
    """What to note about a server; nothing if its role serves no predictions."""
    return {} if parcel.service is None else as_metadata(parcel.service)
