"""What a worker VM's account may do in RabbitMQ, tried with plain AMQP. All else is refused."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator

import amqp
import pytest
from amqp.exceptions import AccessRefused, NotAllowed, PreconditionFailed

from production_server.messaging.names import (
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
from production_server.remote.access import Ticket
from tests.support.tls_broker import TlsNode
from tests.support.worker_vm import Front

OWN = question_queue(worker_node(1, "w0"))
OTHERS = question_queue(worker_node(1, "w00"))
OWN_MODELS = model_queue(worker_node(1, "w0"))
OTHERS_MODELS = model_queue(worker_node(1, "w00"))
MESSAGE = amqp.Message(b"")


def connection(node: TlsNode, ticket: Ticket, vhost: str = "/") -> amqp.Connection:
    options = {
        "ca_certs": str(node.authority),
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": ticket.server_name,
    }
    address = f"127.0.0.1:{node.tls_port}"
    made = amqp.Connection(
        address, ticket.account, ticket.password, ssl=options, virtual_host=vhost
    )
    made.connect()
    return made


@pytest.fixture(scope="module")
def connected(front: Front, ticket: Ticket) -> Iterator[amqp.Connection]:
    front.add("w00")
    with connection(front.node, ticket) as made:
        yield made


def publish(
    exchange: str, key: str = "", message: amqp.Message = MESSAGE
) -> Callable[[amqp.Channel], None]:
    def attempt(channel: amqp.Channel) -> None:
        channel.basic_publish(message, exchange=exchange, routing_key=key)
        # RabbitMQ only answers a publication that it refuses: ask something to wait for that.
        channel.basic_qos(0, 1, False)

    return attempt


REFUSED: dict[str, Callable[[amqp.Channel], object]] = {
    "declare a queue": lambda c: c.queue_declare("mine"),
    "declare a queue without a name": lambda c: c.queue_declare("", exclusive=True),
    "declare a queue of its own name": lambda c: c.queue_declare(OWN, durable=True),
    "declare an exchange": lambda c: c.exchange_declare("mine", "fanout"),
    "delete the jobs": lambda c: c.queue_delete(JOBS_QUEUE),
    "delete the results": lambda c: c.queue_delete(RESULTS_QUEUE),
    "delete its own questions": lambda c: c.queue_delete(OWN),
    "delete an exchange": lambda c: c.exchange_delete(ANSWERS),
    "bind the results elsewhere": lambda c: c.queue_bind(RESULTS_QUEUE, EXCHANGE, JOBS_QUEUE),
    "bind its questions to the answers": lambda c: c.queue_bind(OWN, ANSWERS, RESULTS_QUEUE),
    "bind its questions to the tasks": lambda c: c.queue_bind(OWN, EXCHANGE, PREDICT_QUEUE),
    "unbind the jobs": lambda c: c.queue_unbind(JOBS_QUEUE, EXCHANGE, JOBS_QUEUE),
    "bind exchanges": lambda c: c.exchange_bind(ANSWERS, EXCHANGE, PREDICT_QUEUE),
    "get results": lambda c: c.basic_get(RESULTS_QUEUE),
    "consume results": lambda c: c.basic_consume(RESULTS_QUEUE),
    "purge results": lambda c: c.queue_purge(RESULTS_QUEUE),
    "read another worker's questions": lambda c: c.basic_get(OTHERS),
    "purge another worker's questions": lambda c: c.queue_purge(OTHERS),
    "read another worker's models": lambda c: c.basic_get(OTHERS_MODELS),
    "read the requests for models": lambda c: c.basic_get(MODELS_QUEUE),
    "purge the requests for models": lambda c: c.queue_purge(MODELS_QUEUE),
    "delete its own models": lambda c: c.queue_delete(OWN_MODELS),
    "send parts to another worker": publish("", OTHERS_MODELS),
    "publish a prediction task": publish(EXCHANGE, PREDICT_QUEUE),
    "publish a chunk": publish(EXCHANGE, JOBS_QUEUE),
    "publish to a queue by its name": publish("", RESULTS_QUEUE),
    "publish to an exchange of RabbitMQ": publish("amq.direct", JOBS_QUEUE),
    "ask other workers questions": publish(QUESTIONS),
}


@pytest.mark.parametrize("attempt", REFUSED.values(), ids=REFUSED)
def test_refused(connected: amqp.Connection, attempt: Callable[[amqp.Channel], object]) -> None:
    with pytest.raises(AccessRefused):
        attempt(connected.channel())


ALLOWED: dict[str, Callable[[amqp.Channel], object]] = {
    "consume predictions": lambda c: c.basic_consume(PREDICT_QUEUE),
    "consume chunks": lambda c: c.basic_consume(JOBS_QUEUE),
    "consume its own questions": lambda c: c.basic_consume(OWN),
    "consume its own models": lambda c: c.basic_consume(OWN_MODELS),
    "ask for a model": publish(ANSWERS, MODELS_QUEUE),
    "publish an answer": publish(ANSWERS, "stackserve.reply.gone"),
    "reply to a question": publish(REPLIES, "gone"),
}


@pytest.mark.parametrize("attempt", ALLOWED.values(), ids=ALLOWED)
def test_allowed(connected: amqp.Connection, attempt: Callable[[amqp.Channel], object]) -> None:
    channel = connected.channel()
    attempt(channel)
    channel.close()


def test_nobody_can_ask_in_the_name_of_another_account(connected: amqp.Connection) -> None:
    """The server sends models to the account that RabbitMQ names."""
    forged = amqp.Message(b"", user_id="worker-w00")
    channel = connected.channel()
    with pytest.raises(PreconditionFailed, match="user_id"):
        channel.basic_publish(forged, exchange=ANSWERS, routing_key=MODELS_QUEUE)
        channel.basic_qos(0, 1, False)


def test_a_purge_of_tasks_is_the_same_right_as_consuming_them(connected: amqp.Connection) -> None:
    """RabbitMQ cannot refuse it; docs/workers.md says so. If it can one day, make it."""
    assert connected.channel().queue_purge(JOBS_QUEUE) == 0


def test_an_outcome_under_the_name_of_another_worker(connected: amqp.Connection) -> None:
    forged = amqp.Message(b"", user_id="worker-w00")
    with pytest.raises(PreconditionFailed):
        publish(ANSWERS, RESULTS_QUEUE, forged)(connected.channel())


def test_another_virtual_host_is_refused(node: TlsNode, ticket: Ticket) -> None:
    """Queues of other virtual hosts can only be reached by a connection to them."""
    node.rabbitmq.run("add_vhost", "other")
    with pytest.raises(NotAllowed, match="access to vhost 'other' refused"):
        connection(node, ticket, vhost="other")


def test_there_is_no_management_to_reach(node: TlsNode, ticket: Ticket) -> None:
    status = json.loads(node.rabbitmq.run("status", "--formatter", "json"))
    listeners = {(one["protocol"], one["interface"]) for one in status["listeners"]}
    assert {protocol for protocol, _ in listeners} == {"amqp", "amqp/ssl", "clustering"}
    assert status["active_plugins"] == []
    # Its API would need a tag, too.
    users = json.loads(node.rabbitmq.run("list_users", "--formatter", "json"))
    assert {"user": ticket.account, "tags": []} in users


def test_the_number_of_connections_is_limited(node: TlsNode, ticket: Ticket) -> None:
    opened = []
    try:
        with pytest.raises(NotAllowed, match="connection limit"):
            for _ in range(20):
                opened.append(connection(node, ticket))
    finally:
        for one in opened:
            one.close()
