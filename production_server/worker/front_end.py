"""Gets models from the server of a worker VM, over RabbitMQ."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from celery import Celery
from kombu import Connection
from pydantic import ValidationError

from production_server.errors import ModelError, QueueError, RegistryError
from production_server.messaging.app import disable_confirms
from production_server.messaging.batches import CHECK_BROKER
from production_server.messaging.link import CONNECTION_ERRORS
from production_server.messaging.model_parts import (
    REFUSED,
    Active,
    Files,
    ModelFile,
    Question,
)
from production_server.messaging.names import ANSWERS, MODELS_QUEUE, model_queue, worker_node

# Seconds. A question or its answer can get lost, so it is sent again.
ANSWER_SECONDS = 5.0
TIMES = 3

Shape = TypeVar("Shape", Active, Files)


class Refused(RegistryError):
    """The server does not have what was asked for."""


class FrontEnd:
    """The server, as one process of a worker VM asks it."""

    def __init__(self, app: Celery, vm: str, process: int) -> None:
        self._app = app
        self._process = process
        self._queue = model_queue(worker_node(process, vm))

    def active(self) -> Active:
        """The active version. Raises QueueError if the server cannot be asked."""
        with self._line() as line:
            return _parsed(Active, line.ask("active"))

    def fetch(self, version: str, folder: Path) -> None:
        """Write the files of a version into a folder, each checked."""
        with self._line() as line:
            files = _parsed(Files, line.ask("files", version=version)).files
            if len({file.name for file in files}) < len(files):
                raise ModelError(f"the server named a file of {version} twice")
            for file in files:
                _fetch_file(line, version, file, folder / file.name)

    @contextmanager
    def _line(self) -> Iterator[_Line]:
        with disable_confirms(self._app.connection_for_write()) as connection:
            try:
                yield _Line(connection, self._process, self._queue)
            except QueueError:
                # RabbitMQ would not confirm that it is closed, during an alarm.
                connection.collect()
                raise


@contextmanager
def _as_queue_errors() -> Iterator[None]:
    try:
        yield
    except CONNECTION_ERRORS as error:
        raise QueueError(f"cannot ask the server for models: {error}", CHECK_BROKER) from error


class _Line:
    """One connection, on which one question is asked at a time."""

    def __init__(self, connection: Connection, process: int, queue: str) -> None:
        self._connection = connection
        self._process = process
        self._expected = ""
        self._answer: Any = None
        with _as_queue_errors():
            self._channel = connection.default_channel
            self._channel.basic_consume(queue, no_ack=True, callback=self._receive)

    def ask(self, what: Literal["active", "files", "part"], **details: Any) -> bytes:
        question = Question(process=self._process, ask=what, **details)
        for _ in range(TIMES):
            with _as_queue_errors():
                self._send(question)
                answer = self._wait()
            if answer is not None:
                return answer
        raise QueueError(
            f"the server did not answer within {TIMES * ANSWER_SECONDS:g} s",
            "Check that its recorder runs: systemctl status stackserve-recorder",
        )

    def _send(self, question: Question) -> None:
        self._answer, self._expected = None, uuid.uuid4().hex
        message = self._channel.prepare_message(
            question.model_dump_json().encode(),
            properties={
                "correlation_id": self._expected,
                # RabbitMQ refuses the name of another account.
                "user_id": self._connection.userid,
                "delivery_mode": 1,
            },
        )
        self._channel.basic_publish(message, exchange=ANSWERS, routing_key=MODELS_QUEUE)

    def _wait(self) -> bytes | None:
        until = time.monotonic() + ANSWER_SECONDS
        while self._answer is None and (left := until - time.monotonic()) > 0:
            try:
                self._connection.drain_events(timeout=left)
            except TimeoutError:
                return None
        if self._answer is None:
            return None
        if refused := (self._answer.headers or {}).get(REFUSED):
            raise Refused(f"the server says: {refused}")
        body = self._answer.body
        return body.encode() if isinstance(body, str) else bytes(body)

    def _receive(self, message: Any) -> None:
        # Others are late, or left from a process that was killed.
        if message.properties.get("correlation_id") == self._expected:
            self._answer = message


def _fetch_file(line: _Line, version: str, file: ModelFile, path: Path) -> None:
    hashed, size = hashlib.sha256(), 0
    with path.open("wb") as out:
        for part in file.parts:
            data = line.ask("part", version=version, file=file.name, part=part)
            out.write(data)
            hashed.update(data)
            size += len(data)
    if (size, hashed.hexdigest()) != (file.size, file.sha256):
        raise ModelError(
            f"{file.name} of {version} arrived with {size} bytes and SHA-256 "
            f"{hashed.hexdigest()[:12]}..., not {file.size} bytes and {file.sha256[:12]}...",
            "It changed during the transfer, or it is damaged on the server.",
        )


def _parsed(shape: type[Shape], body: bytes) -> Shape:
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise ModelError(f"the server sent an invalid answer: {error}") from error
