"""When to try chunks again that failed through no fault of their rows.

Memory or disk can run out, and the registry can be unreadable. Such a chunk is tried again after a
pause that doubles. Its job pauses too, and then sends one chunk at a time until one has an outcome.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_PAUSE = 2.0
LONGEST_PAUSE = 300.0
# A chunk fails for good after this many attempts, or this many seconds after its job's last
# success. With the pauses above, an hour is 19 attempts.
MOST_ATTEMPTS = 20
LONGEST_TROUBLE = 3600.0

Chunk = tuple[str, int]


@dataclass
class Trouble:
    """Failed attempts in a row: how many, since when, and when the next may follow."""

    since: float
    count: int = 0
    until: float = 0.0

    def add(self, now: float) -> None:
        self.until = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2**self.count)
        self.count += 1

    def hopeless(self, now: float) -> bool:
        return self.count >= MOST_ATTEMPTS or now - self.since >= LONGEST_TROUBLE


class Retries:
    """The chunks and jobs that wait for a retry. It lives in memory: a restart tries all again."""

    def __init__(self) -> None:
        self._chunks: dict[Chunk, Trouble] = {}
        self._jobs: dict[str, Trouble] = {}

    def failed(self, chunk: Chunk, now: float) -> str | None:
        """Plan the next attempt; or say how long it was tried, if that is enough."""
        mine = self._chunks.setdefault(chunk, Trouble(now))
        jobs = self._jobs.setdefault(chunk[0], Trouble(now))
        mine.add(now)
        if now >= jobs.until:  # chunks that were in flight together count once
            jobs.add(now)
        if not mine.hopeless(now) and now - jobs.since < LONGEST_TROUBLE:
            return None
        del self._chunks[chunk]
        times = "once" if mine.count == 1 else f"{mine.count} times"
        return f"tried {times} in {max(now - mine.since, 0) / 60:.0f} minutes"

    def ended(self, chunk: Chunk) -> None:
        """The chunk has an outcome, so the workers work."""
        self._chunks.pop(chunk, None)
        self._jobs.pop(chunk[0], None)

    def keep(self, jobs: list[str]) -> None:
        """Forget the jobs that have ended."""
        for job in self._jobs.keys() - set(jobs):
            del self._jobs[job]
        for chunk in [chunk for chunk in self._chunks if chunk[0] not in jobs]:
            del self._chunks[chunk]

    def troubled(self, job: str) -> bool:
        return job in self._jobs

    def slots(self, job: str, wanted: int, flying: int, now: float) -> int:
        """How many of the wanted chunks a job may send now."""
        trouble = self._jobs.get(job)
        if trouble is None or now - trouble.since >= LONGEST_TROUBLE:
            return wanted
        return 0 if flying or now < trouble.until else min(1, wanted)

    def held(self, job: str) -> list[int]:
        """The job's chunks that failed before."""
        return [number for other, number in self._chunks if other == job]

    def due(self, job: str, now: float) -> list[int]:
        """Those of them that may be sent now."""
        return [
            number
            for (other, number), trouble in self._chunks.items()
            if other == job and trouble.until <= now
        ]
