"""placeholder replaced below"""

from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Guest:
    disk: Path
    content: str


def ensure_guest(*a):
    raise NotImplementedError
