"""Sends models to worker VMs, over RabbitMQ. It runs in a thread of the recorder.

RabbitMQ vouches for the account that asks, so an answer goes to that worker VM alone. A worker can
only get files of versions in the registry.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery import Celery
from kombu import Exchange, Queue
from pydantic import ValidationError

from production_server.errors import StackserveError
from production_server.messaging.app import HEARTBEAT, direct_exchange, disable_confirms
from production_server.messaging.link import CONNECTION_ERRORS
from production_server.messaging.model_parts import (
    PART_BYTES,
    REFUSED,
    Active,
    Answer,
    Files,
    Question,
    Trial,
)
from production_server.messaging.names import (
    ACCOUNT_PREFIX,
    ANSWERS,
    MODELS_QUEUE,
    model_queue,
    worker_node,
)
from production_server.model import rollout
from production_server.model.card import CARD_FILE, MODEL_FILE
from production_server.model.registry import Registry
from production_server.remote.access import NAME, REQUESTS

log = logging.getLogger(__name__)

RECONNECT_PAUSE = 1.0
# How often it looks whether it shall stop.
IDLE_SECONDS = 1.0


def answer(registry: Registry, question: Question) -> Answer:
    """Answer from the registry."""
    try:
        if question.ask == "active":
            return Answer(active_of(registry).model_dump_json(exclude_none=True).encode())
        if question.ask == "files":
            return Answer(files_of(registry, question.version).model_dump_json().encode())
        return Answer(read_part(registry, question))
    except (StackserveError, OSError) as error:
        return Answer(refused=str(error))


def active_of(registry: Registry) -> Active:
    version, candidate = registry.active(), rollout.candidate(registry)
    trial = candidate and Trial(candidate=candidate, digest=registry.digest(candidate.version))
    return Active(version=version, digest=registry.digest(version), trial=trial)


def files_of(registry: Registry, version: str) -> Files:
    model_file = registry.model_path(version)
    card_file = model_file.with_name(CARD_FILE)
    hashes = {CARD_FILE: registry.digest(version), MODEL_FILE: registry.card(version).model_sha256}
    sizes = {path.name: path.stat().st_size for path in (card_file, model_file)}
    return Files.model_validate(
        {"files": [{"name": name, "size": sizes[name], "sha256": hashes[name]} for name in hashes]}
    )


def read_part(registry: Registry, question: Question) -> bytes:
    if question.file not in (CARD_FILE, MODEL_FILE):
        return b""
    with registry.model_path(question.version).with_name(question.file).open("rb") as file:
        file.seek(question.part * PART_BYTES)
        return file.read(PART_BYTES)


def asker(user: object) -> str | None:
    """The worker VM that has this account."""
    name = str(user or "")
    vm = name.removeprefix(ACCOUNT_PREFIX)
    return vm if name != vm and NAME.fullmatch(vm) else None


class ModelSource:
    """Answers the worker VMs' questions in a thread, on a connection of its own."""

    def __init__(self, app: Celery, registry: Registry) -> None:
        self._app = app
        self._registry = registry
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-source", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._serve()
            except Exception as error:  # if this thread ended, no worker VM would get a model
                if not isinstance(error, CONNECTION_ERRORS):
                    log.exception("cannot send models to worker VMs; trying again")
                self._stopping.wait(RECONNECT_PAUSE)

    def _serve(self) -> None:
        # A lost answer is asked for again. A confirm may not come during an alarm.
        connection = self._app.connection_for_write(heartbeat=HEARTBEAT)
        with disable_confirms(connection):
            channel = connection.default_channel
            exchange: Exchange = direct_exchange(ANSWERS)
            Queue(
                MODELS_QUEUE, exchange, routing_key=MODELS_QUEUE, queue_arguments=REQUESTS
            ).declare(channel=channel)
            channel.basic_qos(0, 1, False)
            channel.basic_consume(MODELS_QUEUE, callback=lambda one: self._on_message(channel, one))
            while not self._stopping.is_set():
                try:
                    connection.drain_events(timeout=IDLE_SECONDS)
                except TimeoutError:
                    connection.heartbeat_check()

    def _on_message(self, channel: Any, message: Any) -> None:
        vm = asker(message.properties.get("user_id"))
        try:
            question = Question.model_validate_json(message.body)
        except ValidationError:
            vm = None
        if vm is not None:
            node = worker_node(question.process, vm)
            self._send(channel, model_queue(node), message, answer(self._registry, question))
        channel.basic_ack(message.delivery_tag)

    def _send(self, channel: Any, queue: str, message: Any, found: Answer) -> None:
        reply = channel.prepare_message(
            found.body,
            headers={REFUSED: found.refused} if found.refused else {},
            properties={
                "correlation_id": message.properties.get("correlation_id", ""),
                "delivery_mode": 1,
            },
        )
        channel.basic_publish(reply, exchange="", routing_key=queue)
