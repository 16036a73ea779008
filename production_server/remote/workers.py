"""Add, remove, list and drain the worker VMs of this server."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from production_server.errors import ServiceError
from production_server.messaging.names import QUESTIONS, model_queue, question_queue
from production_server.remote.access import (
    NAME,
    PORT,
    SERVER_NAME,
    Ticket,
    account,
    definitions,
    question_queues,
)
from production_server.remote.rabbitmqctl import RabbitMQ

if TYPE_CHECKING:
    from production_server.messaging.workers import WorkerState

# Of a worker VM that has never answered.
UNKNOWN = dict.fromkeys(("versions", "tasks", "tasks_per_second", "busy", "last_heard"))
NO_SUCH_USER = re.compile(r"no_such_user|does not exist")


class Questions(Protocol):
    """Asks the workers through RabbitMQ, and deletes their queues, as the service."""

    def describe(self, nodes: Sequence[str]) -> list[WorkerState]:
        """What these Celery nodes say about themselves, of those that answer."""

    def drain(self, nodes: Sequence[str], timeout: float) -> dict[str, bool]:
        """Let these Celery nodes take no more tasks.

        Returns whether each of them that is connected has done its last.
        """

    def delete_queues(self, queues: Sequence[str]) -> None:
        """Delete these queues, if they exist."""

    def activities(self) -> dict[str, dict[str, Any]]:
        """What each worker VM does, by its name; nothing if that cannot be known."""


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise ServiceError(
            f"{name!r} cannot be a worker's name", "Use only lowercase letters, digits and -."
        )


def add(broker: RabbitMQ, names: Sequence[str], host: str, ca: str, processes: int) -> list[Ticket]:
    """Give each worker VM an account, or a new password if it has one, and its queues."""
    for name in names:
        check_name(name)
    passwords = {name: secrets.token_urlsafe(32) for name in names}
    broker.define(definitions(passwords, processes, broker.vhost))
    return [
        Ticket(name, host, PORT, account(name), password, ca, SERVER_NAME, broker.vhost)
        for name, password in passwords.items()
    ]


def remove(broker: RabbitMQ, questions: Questions, name: str) -> None:
    """Delete the account, which closes its connections, and its queues."""
    check_name(name)
    try:
        broker.run("delete_user", account(name))
    except ServiceError as error:
        if not NO_SUCH_USER.search(str(error)):
            raise
    nodes = question_queues(name)
    questions.delete_queues([*nodes.values(), *map(model_queue, nodes)])


def listed(broker: RabbitMQ, questions: Questions) -> list[dict[str, object]]:
    """Each worker VM, how many of its processes are connected, and what it does and lacks."""
    found = _question_queues(broker)
    connected = [queue for queue, (_, consumers) in found.items() if consumers]
    nodes = [queue.removesuffix(f".{QUESTIONS}") for queue in connected]
    states = questions.describe(nodes) if nodes else []
    known = questions.activities()
    return [
        {
            "name": name,
            "connected": (count := sum(node.endswith(f"@{name}") for node in nodes)) > 0,
            "processes": count,
            **known.get(name, UNKNOWN),
            **_models(name, states),
        }
        for name in sorted({vm for vm, _ in found.values()})
    ]


def _models(name: str, states: Sequence[WorkerState]) -> dict[str, object]:
    """How many processes have the models for their tasks, and what the others cannot get."""
    own = [state for state in states if state["vm"] == name]
    missing: dict[str, str] = {}
    for state in own:
        missing |= state["missing"]
    return {"taking_tasks": sum(state["taking_tasks"] for state in own), "missing": missing}


def drain(broker: RabbitMQ, questions: Questions, name: str, timeout: float) -> None:
    """Let the worker VM take no more tasks, and wait until it has answered those it holds."""
    check_name(name)
    asked = questions.drain(list(question_queues(name)), timeout)
    silent = sorted(node for node, done in asked.items() if not done)
    if silent:
        raise ServiceError(
            f"{', '.join(silent)} did not finish within {timeout:g} s",
            "Try again with a longer --timeout, or remove the worker: RabbitMQ gives its tasks to "
            "the others.",
        )


def _question_queues(broker: RabbitMQ) -> dict[str, tuple[str, int]]:
    """The worker VM and the number of consumers, for each queue of questions."""
    pattern = re.compile(question_queue(rf"worker\d+@({NAME.pattern})").replace(".", r"\."))
    found = {}
    for row in broker.rows("queues", "name", "consumers"):
        if match := pattern.fullmatch(row["name"]):
            found[row["name"]] = match[1], int(row["consumers"])
    return found
