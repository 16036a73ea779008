"""What a worker VM may do in RabbitMQ. Nothing here does I/O.

Each VM has an account of its own. It may read the tasks and publish answers, outcomes and requests
for models. It declares nothing: what it needs is declared when it is added. RabbitMQ checks three
rights:

- configure (declare, delete): nothing;
- write (publish, and bind a queue): the exchanges for answers and for replies to questions;
- read (consume, get, purge): the two queues of tasks, and its own queues of questions and models.

RabbitMQ cannot tell consuming from purging. That gives a hostile worker nothing new: it could as
well acknowledge every task without an answer. The dispatcher sends chunks that get lost again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from production_server.messaging.names import (
    ACCOUNT_PREFIX,
    ANSWERS,
    EXCHANGE,
    JOBS_QUEUE,
    MODELS_QUEUE,
    PREDICT_QUEUE,
    QUESTIONS,
    REPLIES,
    RESULTS_QUEUE,
    model_queue,
    question_queue,
    worker_node,
)

VHOST = "stackserve"
PORT = 5671
# The name in the certificate that cloud-init/files/steps/certificates.py makes.
SERVER_NAME = "stackserve-broker"
NAME = re.compile(r"[a-z0-9-]+")
# As many as STACKSERVE_WORKERS allows.
MOST_PROCESSES = 64
NOTHING = "^$"
# Milliseconds. Questions to a VM that is off would pile up.
QUESTION_LIFE = 10_000
QUORUM = {"x-queue-type": "quorum"}
# A worker that stops in the middle of a transfer leaves its last part here for this long.
PART_LIFE = 30_000
# Each process asks for one part after the other, so more are leftovers.
PARTS = {"x-message-ttl": PART_LIFE, "x-max-length": 2}
# Nobody waits for an answer for longer. A hostile worker can only fill this.
REQUESTS = {"x-message-ttl": 10_000, "x-max-length": 1000}
# A worker process has one connection for tasks, one for outcomes, one for models and one while it
# reconnects.
CONNECTIONS_PER_PROCESS = 4
CHANNELS_PER_CONNECTION = 8


class Ticket(NamedTuple):
    """What a worker VM needs to join. It holds a password."""

    name: str
    host: str
    port: int
    account: str
    password: str
    ca: str
    server_name: str
    vhost: str


def account(name: str) -> str:
    """The account of the worker VM of this name."""
    return f"{ACCOUNT_PREFIX}{name}"


def rights(name: str) -> dict[str, str]:
    """The regular expressions of what the worker VM may configure, write and read."""
    tasks = "|".join(re.escape(queue) for queue in (PREDICT_QUEUE, JOBS_QUEUE))
    # re.escape would escape hyphens too; a name has no character that needs it.
    own = "|".join(re.escape(kind) for kind in (QUESTIONS, MODELS_QUEUE))
    own = rf"worker[0-9]+@{name}\.({own})"
    answers = "|".join(re.escape(exchange) for exchange in (ANSWERS, REPLIES))
    return {"configure": NOTHING, "write": f"^({answers})$", "read": f"^({tasks}|{own})$"}


def question_queues(name: str, processes: int = MOST_PROCESSES) -> dict[str, str]:
    """The queue of questions of each Celery node that the worker VM may have."""
    nodes = [worker_node(number, name) for number in range(1, processes + 1)]
    return {node: question_queue(node) for node in nodes}


def definitions(passwords: Mapping[str, str], processes: int, vhost: str = VHOST) -> dict[str, Any]:
    """What RabbitMQ must import for worker VMs with up to this many processes each.

    `passwords` are theirs, by name.
    """
    nodes = [pair for name in passwords for pair in question_queues(name, processes).items()]
    questions: dict[str, dict[str, Any]] = {
        queue: {"x-message-ttl": QUESTION_LIFE} for _, queue in nodes
    }
    parts = {model_queue(node): PARTS for node, _ in nodes}
    tasks: dict[str, dict[str, Any]] = {
        PREDICT_QUEUE: {},
        JOBS_QUEUE: QUORUM,
        RESULTS_QUEUE: QUORUM,
        MODELS_QUEUE: REQUESTS,
    }
    exchanges = {EXCHANGE: "direct", ANSWERS: "direct", QUESTIONS: "fanout", REPLIES: "direct"}
    sources = dict.fromkeys(tasks, EXCHANGE) | dict.fromkeys((RESULTS_QUEUE, MODELS_QUEUE), ANSWERS)
    sources |= dict.fromkeys(questions, QUESTIONS)
    connections = CONNECTIONS_PER_PROCESS * processes
    limits = {
        "max-connections": connections,
        "max-channels": CHANNELS_PER_CONNECTION * connections,
    }
    return {
        "users": [
            {"name": account(name), "password": password, "tags": "", "limits": limits}
            for name, password in passwords.items()
        ],
        "permissions": [
            {"user": account(name), "vhost": vhost, **rights(name)} for name in passwords
        ],
        "exchanges": [_exchange(vhost, *each) for each in exchanges.items()],
        "queues": [_queue(vhost, *each) for each in (tasks | questions | parts).items()],
        "bindings": [_binding(vhost, *each) for each in sources.items()],
    }


def _exchange(vhost: str, name: str, kind: str) -> dict[str, Any]:
    whole = {"durable": True, "auto_delete": False, "internal": False, "arguments": {}}
    return {"name": name, "vhost": vhost, "type": kind, **whole}


def _queue(vhost: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    whole = {"durable": True, "auto_delete": False, "arguments": arguments}
    return {"name": name, "vhost": vhost, **whole}


def _binding(vhost: str, queue: str, source: str) -> dict[str, Any]:
    # A fanout exchange ignores the key; Celery binds its queues with an empty one.
    key = "" if source == QUESTIONS else queue
    whole = {"destination": queue, "destination_type": "queue", "arguments": {}}
    return {"source": source, "vhost": vhost, "routing_key": key, **whole}
