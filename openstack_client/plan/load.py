"""How much there is to do: the figures that `stackserve-workers load` prints on the front end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Load:
    """What waits, and how busy the workers are."""

    wait: float | None = None
    """Seconds that a prediction takes now, through the queue and back. None: not measured."""
    busy: float | None = None
    """The share of the time that all worker processes spend in tasks, from 0 to 1."""
    chunks: int = 0
    """Chunks of accepted jobs that have no outcome yet."""
    jobs_seconds: float | None = 0.0
    """When the accepted jobs are done, at the present rate. None: nothing gets done."""
    workers: int = 0
    """Worker VMs that answer."""
    silent: int = 0
    """Processes that do not answer: in a long task, or RabbitMQ has not yet missed them."""


def parse(text: bytes) -> Load:
    """The figures. Raises ValueError if the text is something else."""
    found = json.loads(text)
    try:
        return Load(
            _number(found["wait_seconds"]),
            _number(found["busy"]),
            int(found["chunks"]),
            _number(found["jobs_seconds"]),
            int(found["workers"]),
            int(found["silent"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no figures: {error!r}") from error


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
