"""The status of a deployment: its server, its service over HTTP, its units over ssh."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openstack_client import lifetime
from openstack_client.cloud.resources import Address, Group, Port, Server
from openstack_client.plan import expiry, inventory
from openstack_client.plan.inventory import Inventory
from openstack_client.roles import Ask, Watched
from openstack_client.watch.probe import Probe
from openstack_client.watch.ssh import SshTarget, failure

SHOW_UNITS = "systemctl show --property=Id,ActiveState,SubState,NRestarts,MemoryCurrent"
SHOW_QUEUES = (
    "sudo -n rabbitmqctl --quiet --formatter json list_queues -p {vhost} name messages 2>/dev/null"
)
RABBITMQ = "rabbitmq-server"
# What the front end says of the work of each worker VM; docs/workers.md describes it.
WORK = ("processes", "versions", "tasks", "tasks_per_second", "busy", "last_heard")
QUEUE = re.compile(r"stackserve\.[a-z]+")  # not the reply queues, which end in a number
# rabbitmqctl starts an Erlang VM for each call.
SSH_TIMEOUT = 60.0


@dataclass(frozen=True)
class Unit:
    """A systemd unit on the server."""

    name: str
    active: str
    sub: str = ""
    restarts: int = 0
    memory_mb: int | None = None

    @property
    def healthy(self) -> bool:
        return self.active == "active"


@dataclass(frozen=True)
class Inspection:
    """Units and queues, read over ssh; `problem` says what failed."""

    units: tuple[Unit, ...] = ()
    queues: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""


def units_with_logs(watched: Watched) -> dict[str, str]:
    """The units whose journal people ask for, by name: the role's, and cloud-init's."""
    return {**watched.units, "cloud-init": "cloud-final"}


def inspect_server(target: SshTarget, watched: Watched, vhost: str = "stackserve") -> Inspection:
    """Read units and queue lengths over ssh."""
    try:
        done = target.run(inspection(watched.units.values(), vhost), SSH_TIMEOUT)
    except OSError as error:
        return Inspection(problem=f"ssh: {error}")
    except subprocess.TimeoutExpired as slow:
        return parse_inspection(
            _text(slow.stdout), f"ssh: incomplete answer after {SSH_TIMEOUT:.0f} s"
        )
    if done.returncode == 255:
        return Inspection(problem=f"ssh: {failure(done.stderr.encode())}")
    return parse_inspection(done.stdout)


def inspection(units: Iterable[str], vhost: str) -> str:
    """One round trip: the state of each unit, then the length of each queue."""
    names = list(units)
    services = [shlex.quote(name if "." in name else f"{name}.service") for name in names]
    show = " ".join([SHOW_UNITS, *services]) if services else "true"
    queues = f"; {SHOW_QUEUES.format(vhost=vhost)}" if RABBITMQ in names else ""
    return f"{show}; echo ---{queues}"


def parse_inspection(text: str, problem: str = "") -> Inspection:
    """Parse the output, even if incomplete."""
    systemd, _, queues = text.partition("\n---\n")
    return Inspection(parse_units(systemd), parse_queues(queues), problem)


def _text(output: str | bytes | None) -> str:
    return output.decode("utf-8", "replace") if isinstance(output, bytes) else output or ""


def parse_units(text: str) -> tuple[Unit, ...]:
    """Parse the output of `systemctl show`."""
    units = []
    for block in text.strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" not in values:
            continue
        memory = values.get("MemoryCurrent", "")
        units.append(
            Unit(
                values["Id"].removesuffix(".service"),
                values.get("ActiveState", "unknown"),
                values.get("SubState", ""),
                int(values.get("NRestarts") or 0),
                int(memory) // 2**20 if memory.isdigit() and int(memory) < 2**60 else None,
            )
        )
    return tuple(units)


def parse_queues(text: str) -> dict[str, int]:
    """Parse rabbitmqctl's JSON, without reply queues."""
    try:
        rows = json.loads(text or "[]")
    except json.JSONDecodeError:
        return {}
    named = {str(row["name"]): int(row["messages"]) for row in rows}
    return {name: named[name] for name in sorted(named) if QUEUE.fullmatch(name)}


def drift(on_disk: str, deployed: object) -> str:
    """Whether the deployed code differs from the local code."""
    if not deployed or not on_disk:
        return "unknown"
    return "none" if deployed == on_disk else "differs"


def status_json(
    server: Server | None,
    mine: Inventory,
    *,
    probe: Probe | None,
    alive: Mapping[str, Any] | None,
    inside: Inspection | None,
    on_disk: str,
    setup: str | None = None,
    not_ready: Mapping[str, Any] | None = None,
    certificate: str | None = None,
    listed: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """A deployment's status as a JSON value; the text output is made from it."""
    deployed = (alive or {}).get("code_hash") or (
        server.metadata.get(inventory.CODE_KEY) if server else None
    )
    ready = bool(probe and probe.ok)
    predicts = inventory.watched(server).ask is Ask.PREDICTION
    units = [vars(unit) | {"healthy": unit.healthy} for unit in inside.units] if inside else []
    return {
        "name": mine.name,
        "role": inventory.watched(server).role,
        "ready": ready,
        "server": server.name if server else None,
        "server_id": server.id if server else None,
        "server_status": server.status if server else "missing",
        "fault": server.fault if server and server.fault else None,
        "address": mine.address_of(server) if server else None,
        "flavor": server.flavor if server else None,
        "created": server.created if server else None,
        "expires": _expires(mine),
        "lifetime": expiry.described(mine, lifetime.now()),
        "prediction": probe.summary if probe and predicts else None,
        "answer": probe.summary if probe and not predicts else None,
        "model": probe.model if probe and probe.ok else None,
        "version": probe.version if probe and probe.ok else None,
        "certificate": certificate,
        "service": (not_ready or {}).get("detail"),
        "setup": setup,
        "units": units,
        "queues": dict(inside.queues) if inside else {},
        "inside_problem": inside.problem if inside else None,
        "code_deployed": deployed,
        "code_on_disk": on_disk,
        "drift": drift(on_disk, deployed),
        "workers": worker_rows(mine, listed),
    }


def _expires(mine: Inventory) -> str | None:
    moment = expiry.expires_at(mine)
    return lifetime.written(moment) if moment else None


def worker_rows(
    mine: Inventory, listed: Mapping[str, Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """One row per worker VM, also of those whose server is gone.

    `listed` is what the front end knows of each; None if it could not be asked.
    """
    rows = []
    for part in mine.workers:
        own = mine.part(part)
        known = (listed or {}).get(part, {})
        server = own.servers[0] if own.servers else None
        rows.append(
            {
                "name": part,
                "status": server.status if server else "missing",
                "connected": None if listed is None else bool(known.get("connected")),
                "address": own.ports[0].address if own.ports else None,
                "flavor": server.flavor if server else None,
                "created": server.created if server else None,
                "fault": server.fault if server and server.fault else None,
                **{name: known.get(name) for name in WORK},
            }
        )
    return rows


def deployments(
    servers: tuple[Server, ...],
    groups: tuple[Group, ...],
    ports: tuple[Port, ...],
    addresses: tuple[Address, ...],
) -> list[dict[str, Any]]:
    """One row per deployment in the project."""
    rows = []
    for name in inventory.deployment_names(servers, groups, ports, addresses):
        mine = inventory.pick(
            name, "", servers=servers, groups=groups, ports=ports, addresses=addresses, keypairs=()
        )
        server = mine.front
        rows.append(
            {
                "name": name,
                "status": server.status if server else "no server",
                "address": mine.address_of(server) if server else None,
                "flavor": server.flavor if server else None,
                "created": server.created if server else None,
                "expires": _expires(mine),
                "lifetime": expiry.described(mine, lifetime.now()),
                "code": server.metadata.get(inventory.CODE_KEY) if server else None,
                "servers": len(mine.servers),
            }
        )
    return rows
