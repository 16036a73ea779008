"""The raw round trip: one message to an echo over RabbitMQ and back, nothing else.

It is the floor under anything that sends a request through the queue.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from urllib.parse import urlparse

import amqp

from benchmarks.processes import prioritize

QUEUE = "stackserve.bench.echo"
# As many bytes as one row of the shipped model.
BODY = b"x" * 32
WARM_UP = 200


def connect(url: str) -> amqp.Channel:
    where = urlparse(url)
    connection = amqp.Connection(
        f"{where.hostname}:{where.port}", userid=where.username, password=where.password
    )
    connection.connect()
    return connection.channel()


def echo(url: str, niceness: int | None) -> None:
    if niceness is not None:
        prioritize(multiprocessing.current_process().pid or 0, niceness)
    channel = connect(url)
    channel.queue_declare(QUEUE, durable=True, auto_delete=True)

    def answer(message: amqp.Message) -> None:
        reply_to = message.properties["reply_to"]
        channel.basic_publish(amqp.Message(message.body), routing_key=reply_to)

    channel.basic_consume(QUEUE, callback=answer, no_ack=True)
    while True:
        channel.connection.drain_events()


def round_trip_ms(url: str, seconds: float, niceness: int | None) -> float:
    """The median round trip of one asker."""
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
    answers: list[amqp.Message] = []
    channel.basic_consume(reply_to, callback=answers.append, no_ack=True)
    times: list[float] = []
    until = 0.0
    while len(times) < WARM_UP or time.perf_counter() < until:
        began = time.perf_counter()
        channel.basic_publish(amqp.Message(BODY, reply_to=reply_to), routing_key=QUEUE)
        while not answers:
            channel.connection.drain_events()
        answers.clear()
        times.append(time.perf_counter() - began)
        if len(times) == WARM_UP:
            until = time.perf_counter() + seconds
    channel.connection.close()
    return statistics.median(times[WARM_UP:]) * 1000
