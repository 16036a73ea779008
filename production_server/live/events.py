"""What happened lately, in a short file that all web processes share.

Every process that notices something writes it. Readers take the same words within a few seconds for
one event.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import Field, TypeAdapter, ValidationError

FILE = "events.jsonl"
MOST_BYTES = 64 << 10
KEPT = 100
SAME_SECONDS = 20.0
# Their lines are events: the broker's alarms, and what people and programs did.
ALARMS = "production_server.messaging.alarms"
MODELS = "production_server.web.current_model"
AUDIT = "stackserve.audit"


@dataclass(frozen=True)
class Event:
    """One thing that happened, in words."""

    at: Annotated[float, Field(ge=0, le=4e9)]  # Unix seconds
    text: Annotated[str, Field(max_length=400)]
    bad: bool = False


_FORMAT = TypeAdapter(Event)


class EventFile:
    """The file; a line of JSON for each event."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE

    def add(self, text: str, *, bad: bool = False, at: float | None = None) -> None:
        """Note an event. The service goes on if that is not possible."""
        line = orjson.dumps(asdict(Event(at or time.time(), text[:400], bad))) + b"\n"
        try:
            with self._path.open("ab", buffering=0) as file:
                file.write(line)
                if file.tell() > MOST_BYTES:
                    self._shorten()
        except OSError:
            return  # such as a full disk, of which the log tells

    def last(self, count: int) -> list[Event]:
        """The newest events, newest first."""
        found: list[Event] = []
        for event in self._read():
            near = [one for one in found[-10:] if event.at - one.at < SAME_SECONDS]
            if all(one.text != event.text for one in near):
                found.append(event)
        return found[: -count - 1 : -1]

    def _read(self) -> Iterator[Event]:
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return
        for line in lines[-KEPT:]:
            try:
                yield _FORMAT.validate_json(line)
            except ValidationError:
                continue  # a killed process can leave half a line

    def _shorten(self) -> None:
        lines = [orjson.dumps(asdict(event)) + b"\n" for event in self._read()]
        scratch = self._path.with_name(f"{FILE}.{os.getpid()}")
        scratch.write_bytes(b"".join(lines))
        scratch.replace(self._path)


class EventHandler(logging.Handler):
    """Makes events of some lines of the log."""

    def __init__(self, events: EventFile) -> None:
        super().__init__(logging.INFO)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        words = audited(text) if record.name == AUDIT else text[:1].upper() + text[1:]
        if words:
            self._events.add(words, bad=record.levelno >= logging.WARNING)


def audited(line: str) -> str:
    """A line of the audit log in words. Without addresses, and without jobs: those have a table."""
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError:
        return ""
    action = str(said.get("action", ""))
    if action.startswith("job."):
        return ""
    more = [f"{key} {value}" for key, value in said.items() if key not in _OTHER]
    return " ".join([f"{said.get('who', 'anonymous')}: {action}", *more])


_OTHER = ("action", "who", "address")


def follow_log(events: EventFile) -> None:
    """From now on, keep these lines of this process's log as events."""
    for name in (ALARMS, MODELS, AUDIT):
        log = logging.getLogger(name)
        for handler in [one for one in log.handlers if isinstance(one, EventHandler)]:
            log.removeHandler(handler)
        log.addHandler(EventHandler(events))
