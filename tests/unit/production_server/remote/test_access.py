"""The rights of a worker VM's account, and what is declared for it."""

from __future__ import annotations

import re

import pytest

from production_server.errors import ServiceError
from production_server.messaging.app import create_app
from production_server.messaging.names import (
    QUESTIONS,
    REPLIES,
    RESULTS_QUEUE,
    question_queue,
    worker_node,
)
from production_server.remote.access import definitions, rights
from production_server.remote.workers import check_name
from production_server.settings import load_settings


def matching(right: str, names: list[str]) -> list[str]:
    return [name for name in names if re.search(right, name)]


def test_the_rights_of_one_worker_do_not_include_those_of_another() -> None:
    queues = [question_queue(worker_node(1, name)) for name in ("w1", "w11", "1", "xw1", "w1-2")]
    assert matching(rights("w1")["read"], queues) == queues[:1]


def test_dots_in_names_are_not_wildcards() -> None:
    wrong = ["stackserveXjobs", "stackserve.jobs2", "a.stackserve.jobs", "stackserve_answers"]
    for right in ("read", "write"):
        assert matching(rights("w1")[right], wrong) == []


def test_nothing_can_be_configured() -> None:
    assert matching(rights("w1")["configure"], ["a", "stackserve.jobs", "amq.default"]) == []


def test_the_queues_are_declared_as_the_service_declares_them() -> None:
    """RabbitMQ refuses a second declaration that differs."""
    queues = {queue["name"]: queue for queue in definitions({"w1": "secret"}, 2)["queues"]}
    app = create_app(load_settings(broker_url="amqp://localhost//"))
    for name, queue in app.amqp.queues.items():
        assert queues[name]["arguments"] == (queue.queue_arguments or {})
        assert queues[name]["durable"] is queue.durable is True
    bound = {one["destination"]: one["source"] for one in definitions({"w1": ""}, 2)["bindings"]}
    assert {name: queue.exchange.name for name, queue in app.amqp.queues.items()} == {
        name: bound[name] for name in app.amqp.queues
    }
    mailbox = app.control.mailbox
    kinds = {one["name"]: one["type"] for one in definitions({"w1": ""}, 2)["exchanges"]}
    for exchange in (mailbox.exchange, mailbox.reply_exchange):
        assert exchange.durable and kinds[exchange.name] == exchange.type
    assert (mailbox.exchange.name, mailbox.reply_exchange.name) == (QUESTIONS, REPLIES)


def test_a_worker_vm_declares_nothing() -> None:
    app = create_app(load_settings(broker_url="amqp://localhost//", worker_vm="w1"))
    mailbox = app.control.mailbox
    entities = [*app.amqp.queues.values(), mailbox.get_queue("worker1@w1"), mailbox.exchange]
    assert all(entity.no_declare for entity in entities)
    assert app.amqp.queues[RESULTS_QUEUE].exchange.name == "stackserve.answers"


@pytest.mark.parametrize("name", ["", "W1", "w 1", "w.1", "w1\n", "../w1", "w|.*"])
def test_invalid_names_are_refused(name: str) -> None:
    with pytest.raises(ServiceError, match="cannot be a worker's name"):
        check_name(name)
