"""The application credentials with which servers remove their deployments.

Keystone lets no restricted credential delete itself, and an unrestricted one could make more
credentials. So these are restricted, they expire, and the launcher deletes them once their server
is gone. They belong to the user who deployed. Deleting one leaves its access rules, which are
deleted too.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from openstack_client import lifetime
from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.errors import CloudError, CredentialsError
from openstack_client.names import resource_name
from openstack_client.plan.removal import Endpoints, Removal

# How long after the first expiry a server can still remove itself, if its time is extended.
GRACE = dt.timedelta(days=7)
MARK = re.compile(
    r"stackserve deployment (?P<name>[a-z0-9-]+) server (?P<server>[0-9a-f-]+) in (?P<region>.+)"
)
# Enough for everything that the access rules allow, where the project has this role.
ROLE = "member"


@dataclass(frozen=True)
class Credential:
    """A credential of ours, as Keystone lists it: without its secret."""

    id: str
    name: str
    server: str
    expires: dt.datetime | None = None
    rules: tuple[str, ...] = ()


def create(
    cloud: Cloud, removal: Removal, endpoints: Endpoints, expires: dt.datetime
) -> tuple[Credential, str]:
    """Create a credential that can remove the deployment; return it with its secret."""
    name = f"{resource_name(removal.mine.name)}-{secrets.token_hex(4)}"
    arguments: dict[str, Any] = {
        "name": name,
        "user": _user(cloud),
        "description": f"stackserve deployment {removal.mine.name} "
        f"server {removal.server.id} in {_region(cloud)}",
        "expires_at": expires + GRACE,
        "access_rules": removal.access_rules(endpoints),
    }
    if ROLE in _access(cloud).role_names:
        arguments["roles"] = [{"name": ROLE}]
    manager = cloud.keystone.application_credentials
    raw = cloud.create(
        "Keystone",
        "create an application credential",
        lambda: manager.create(**arguments),
        lambda: _delete_lost(cloud, name),
    )
    return _credential(raw), str(raw.secret)


def _delete_lost(cloud: Cloud, name: str) -> None:
    """Delete a credential whose secret was in an answer that never arrived."""
    for found in listed(cloud):
        if found.name == name:
            delete(cloud, found)


def listed(cloud: Cloud) -> list[Credential]:
    """The user's credentials of this kind in this project and region."""
    manager, user = cloud.keystone.application_credentials, _user(cloud)
    found = cloud.request(
        "Keystone", "list your application credentials", lambda: manager.list(user=user)
    )
    ours = [raw for raw in found if raw.project_id == cloud.project_id]
    matches = [(raw, MARK.fullmatch(raw.description or "")) for raw in ours]
    return [
        _credential(raw) for raw, match in matches if match and match["region"] == _region(cloud)
    ]


def delete(cloud: Cloud, credential: Credential) -> None:
    """Delete a credential and its access rules."""
    keystone, user = cloud.keystone, _user(cloud)
    with _tolerating(404):
        cloud.request(
            "Keystone",
            f"delete the application credential {credential.name!r}",
            lambda: keystone.application_credentials.delete(credential.id, user=user),
        )
    for rule in credential.rules:
        # Another credential may use the same rule; then Keystone keeps it.
        with _tolerating(403, 404):
            call = partial(keystone.access_rules.delete, rule, user=user)
            cloud.request("Keystone", "delete an access rule", call)


def sweep(cloud: Cloud, keep: Collection[str] = (), server: str = "") -> list[str]:
    """Delete credentials of servers that are gone, and those of `server` not in `keep`.

    Returns a note for each that could not be deleted. Nothing depends on it: their rules name only
    resources that are gone.
    """
    left = []
    try:
        present = listed(cloud)
        alive = {found.id for found in queries.servers(cloud)} - {server} if present else set()
        for credential in present:
            if credential.server in alive or credential.id in keep:
                continue
            try:
                delete(cloud, credential)
            except (CloudError, CredentialsError):
                left.append(
                    f"Application credential {credential.name!r} stays: this login may not delete "
                    f"it. Its user can: openstack application credential delete {credential.id}"
                )
    except (CloudError, CredentialsError):
        return []
    return left


def ends(cloud: Cloud, servers: Collection[str]) -> dt.datetime | None:
    """When the credential of one of these servers ends, if it is this user's."""
    with contextlib.suppress(CloudError, CredentialsError):
        moments = [found.expires for found in listed(cloud) if found.server in servers]
        return max((moment for moment in moments if moment), default=None)
    return None


def _credential(raw: Any) -> Credential:
    match = MARK.fullmatch(raw.description or "")
    return Credential(
        raw.id,
        raw.name,
        match["server"] if match else "",
        lifetime.read(getattr(raw, "expires_at", None)),
        tuple(rule["id"] for rule in getattr(raw, "access_rules", None) or []),
    )


def _access(cloud: Cloud) -> Any:
    return cloud.session.auth.get_access(cloud.session)


def _user(cloud: Cloud) -> str:
    return str(_access(cloud).user_id)


def _region(cloud: Cloud) -> str:
    return str(cloud.region.get_region_name() or "-")


@contextlib.contextmanager
def _tolerating(*statuses: int) -> Iterator[None]:
    try:
        yield
    except CloudError as error:
        if error.status not in statuses:
            raise
