"""A raw AMQP round trip: one message through RabbitMQ to an echo process and back.

This is the lower bound for any service that sends its requests through the queue.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from urllib.parse import urlparse

import amqp

from benchmarks.processes import prioritize

QUEUE = "stackserve.bench.echo"
# The size of one encoded row of the shipped model.
BODY = b"x" * 32
WARM_UP = 200


def connect(url: str) -> amqp.Channel:
    broker = urlparse(url)
    connection = amqp.Connection(
        f"{broker.hostname}:{broker.port}", userid=broker.username, password=broker.password
    )
    connection.connect()
    return connection.channel()


def echo(url: str, niceness: int | None) -> None:
    if niceness is not None:
        prioritize(multiprocessing.current_process().pid or 0, niceness)
    channel = connect(url)
    channel.queue_declare(QUEUE, durable=True, auto_delete=True)

    def reply(message: amqp.Message) -> None:
        reply_to = message.properties["reply_to"]
        channel.basic_publish(amqp.Message(message.body), routing_key=reply_to)

    channel.basic_consume(QUEUE, callback=reply, no_ack=True)
    while True:
        channel.connection.drain_events()


def round_trip_ms(url: str, seconds: float, niceness: int | None) -> float:
    """Measure the median round trip of a single client, in milliseconds."""
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=echo, args=(url, niceness), daemon=True)
    server.start()
    try:
        return _measure(connect(url), seconds)
    finally:
        server.kill()
        server.join()


def _measure(channel: amqp.Channel, seconds: float) -> float:
    channel.queue_declare(QUEUE, durable=True, auto_delete=True)
    reply_to = channel.queue_declare("", exclusive=True).queue
    replies: list[amqp.Message] = []
    channel.basic_consume(reply_to, callback=replies.append, no_ack=True)
    times: list[float] = []
    deadline = 0.0
    while len(times) < WARM_UP or time.perf_counter() < deadline:
        started = time.perf_counter()
        channel.basic_publish(amqp.Message(BODY, reply_to=reply_to), routing_key=QUEUE)
        while not replies:
            channel.connection.drain_events()
        replies.clear()
        times.append(time.perf_counter() - started)
        if len(times) == WARM_UP:
            deadline = time.perf_counter() + seconds
    channel.connection.close()
    return statistics.median(times[WARM_UP:]) * 1000
