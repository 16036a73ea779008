"""Asks workers and deletes their queues, in a process with the service's account and settings.

Its parent runs as root (stackserve-workers), and root should not run Celery:

    python -m production_server.remote.questions describe NODE...
    python -m production_server.remote.questions drain SECONDS NODE...
    python -m production_server.remote.questions delete-queues QUEUE...
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from celery import Celery

from production_server.messaging.app import create_app
from production_server.messaging.names import question_queue
from production_server.messaging.queue_counts import consumed
from production_server.messaging.workers import described, drained
from production_server.settings import load_settings


def delete_queues(app: Celery, queues: Sequence[str]) -> None:
    """Delete these queues. RabbitMQ does not mind if one does not exist."""
    with app.connection_for_write() as connection:
        for queue in queues:
            connection.default_channel.queue_delete(queue)


def drain(app: Celery, nodes: Sequence[str], timeout: float) -> dict[str, bool]:
    """Whether each of these nodes that is connected has done its last task."""
    queues = {question_queue(node): node for node in nodes}
    connected = [queues[queue] for queue in consumed(app, list(queues))]
    confirmed = drained(app, connected, timeout) if connected else []
    return {node: node in confirmed for node in connected}


def main(verb: str, *arguments: str) -> None:
    app = create_app(load_settings())
    if verb == "describe":
        print(json.dumps(described(app, arguments)))
    elif verb == "drain":
        timeout, *nodes = arguments
        print(json.dumps(drain(app, nodes, float(timeout))))
    elif verb == "delete-queues":
        delete_queues(app, arguments)
    else:
        sys.exit(f"error: unknown verb {verb}")


if __name__ == "__main__":
    main(*sys.argv[1:])
