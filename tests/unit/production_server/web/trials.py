"""A front with a version on trial, whose queue answers, fails or stays silent by version."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace
from typing import Any

from production_server.errors import QueueError
from production_server.messaging.batches import Answer, Ask
from production_server.model.card import Card
from production_server.model.rollout import Candidate, Mode
from production_server.web.copies import Copies
from production_server.web.current_model import Pinned, Trial
from production_server.web.front import Front
from production_server.web.rows import RowSchema
from production_server.web.tallies import Tally
from tests.unit.production_server.web.cards import BINARY
from tests.unit.production_server.web.fronts import make_front

OLD, NEW = BINARY.version, "diabetes-2"
NEW_CARD = BINARY.model_copy(update={"version": NEW})


class Lane:
    """Answers 0.25 for the active version and 0.75 for the candidate."""

    deadline = 5.0

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.seconds = 0.001

    def submit(self, ask: Ask) -> None:
        self.asked.append(ask)
        if ask.version in self.silent:
            return
        outputs = struct.pack("<f", 0.75 if ask.version == NEW else 0.25) * ask.count
        answer: Any = Answer(ask.version, outputs, 1, self.seconds)
        if ask.version in self.failing:
            answer = QueueError("the worker failed: no")
        asyncio.get_running_loop().call_soon(ask.done, answer)

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


class Site:
    """`lane` gets the requests, and `copied` the copies."""

    def __init__(self, mode: Mode, share: float, card: Card = NEW_CARD) -> None:
        self.lane, self.copied = Lane(), Lane()
        self.front: Front = make_front()
        services: Any = self.front._services
        services.lane = self.lane
        self.copies = services.copies = Copies(self.copied)  # type: ignore[arg-type]
        self.trial = Trial(
            Candidate(version=NEW, mode=mode, share=share),
            Pinned(NEW, card, RowSchema(card, 100)),
            Tally(BINARY),
            Tally(card),
        )
        services.pinned = replace(services.pinned, trial=self.trial)

    def counted(self, version: str) -> dict[str, float]:
        return dict(self.trial.tally(version).take())
