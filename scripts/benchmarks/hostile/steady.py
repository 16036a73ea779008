"""A steady load: one prediction at a time, at a fixed rate; prints its latencies as JSON.

A latency counts from the time at which the request was due, so a stalled server cannot hide the
requests that it held up. The connections are opened before that, and each has had a first answer.
Run as a separate program: `python -m benchmarks.hostile.steady`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

CONNECTIONS = 10
RATE = 100
# A request that takes longer counts as an error.
RESPONSE_SECONDS = 30


@dataclass
class Connection:
    """A connection that is opened again when the server closes it."""

    port: int
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> bool:
        try:
            async with asyncio.timeout(RESPONSE_SECONDS):
                return await self._post(body)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            self.streams = None
            return False

    async def _post(self, body: bytes) -> bool:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        head = f"POST /predict HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        await reader.readexactly(int(length))
        return answer.split()[1] == b"200"


@dataclass
class Latencies:
    """The seconds that each request took, and how many failed."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0

    def add(self, other: Latencies) -> None:
        self.seconds += other.seconds
        self.errors += other.errors

    def report(self) -> dict[str, float]:
        ordered = sorted(self.seconds)

        def at(share: float) -> float:
            return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

        worst = {"p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1)} if ordered else {}
        return {**worst, "requests": len(ordered), "errors": self.errors}


async def load(port: int, seconds: float, bodies: list[bytes]) -> Latencies:
    found = Latencies()
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        connection = Connection(port)
        found.errors += not await connection.post(bodies[0])
        free.put_nowait(connection)
    # A collection would delay every request that is due.
    gc.freeze()
    gc.disable()
    loop = asyncio.get_running_loop()

    async def one(due: float, body: bytes) -> None:
        connection = await free.get()
        good = await connection.post(body)
        free.put_nowait(connection)
        found.seconds.append(loop.time() - due)
        found.errors += not good

    start = loop.time()
    running = []
    for number in range(int(seconds * RATE)):
        due = start + number / RATE
        await asyncio.sleep(due - loop.time())
        running.append(asyncio.create_task(one(due, bodies[number % len(bodies)])))
    await asyncio.gather(*running)
    return found


if __name__ == "__main__":
    lines = Path(sys.argv[3]).read_bytes().splitlines()
    print(json.dumps(asdict(asyncio.run(load(int(sys.argv[1]), float(sys.argv[2]), lines)))))
