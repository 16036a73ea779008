"""The attacks. Each is bounded in clients, rate and time, and uses loopback only.

Run as a separate program: `python -m benchmarks.hostile.attacks NAME PORT SECONDS RESULT`. It
prints a line when it has prepared everything and begins.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

# Clients that send large bodies, and how often each of them does.
SENDERS = 2
SEND_PERIOD = 0.2
# Clients that are slow.
SLOW = 200
# More than a web process accepts.
IDLE = 1500
DRIP_SECONDS = 0.1
STALL_SECONDS = 5.0
ANSWER_SECONDS = 20.0
LARGEST_BODY = 10_000_000
JSON, CSV = "application/json", "text/csv"


@dataclass(frozen=True)
class Target:
    """The service under attack: its port, and the address of a large result."""

    port: int
    result: str

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


Run = Callable[[Target], Awaitable[None]]


def head(path: str, media: str, length: int | None) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {media}\r\n{size}\r\n\r\n".encode()
    )


async def forever(clients: int, action: Callable[[], Awaitable[None]], period: float) -> None:
    """Let some clients repeat an action, each at most once in a period."""
    loop = asyncio.get_running_loop()
    print("attacking", flush=True)

    async def client(number: int) -> None:
        await asyncio.sleep(period * number / clients)
        while True:
            began = loop.time()
            with suppress(OSError, asyncio.IncompleteReadError):
                await action()
            await asyncio.sleep(max(0.001, began + period - loop.time()))

    await asyncio.gather(*(client(number) for number in range(clients)))


def bodies(path: str, media: str, make: Callable[[], bytes]) -> Run:
    """Send the same body again and again."""

    async def run(target: Target) -> None:
        body = make()[:LARGEST_BODY]

        async def send() -> None:
            reader, writer = await target.connect()
            writer.write(head(path, media, len(body)) + body)
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(65536), ANSWER_SECONDS)
            writer.transport.abort()

        await forever(SENDERS, send, SEND_PERIOD)

    return run


def drips(start: bytes) -> Run:
    """Begin requests and send one byte at a time."""

    async def run(target: Target) -> None:
        async def drip() -> None:
            _, writer = await target.connect()
            writer.write(start)
            while not writer.is_closing():
                await asyncio.sleep(DRIP_SECONDS)
                writer.write(b"x")
                await writer.drain()

        await forever(SLOW, drip, DRIP_SECONDS)

    return run


async def endless_line(target: Target) -> None:
    """Upload a table whose first line does not end."""

    async def send() -> None:
        reader, writer = await target.connect()
        writer.write(head("/jobs", CSV, None))
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        answer = asyncio.ensure_future(reader.read(65536))
        while not answer.done():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.transport.abort()

    await forever(SENDERS, send, SEND_PERIOD)


async def stalled_readers(target: Target) -> None:
    """Ask for a large result and read none of it."""

    async def stall() -> None:
        client = socket.socket()
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        loop = asyncio.get_running_loop()
        with client:
            await loop.sock_connect(client, ("127.0.0.1", target.port))
            request = f"GET {target.result}?format=csv HTTP/1.1\r\nHost: bench\r\n\r\n"
            await loop.sock_sendall(client, request.encode())
            await asyncio.sleep(STALL_SECONDS)

    await forever(SLOW, stall, STALL_SECONDS)


async def idle_connections(target: Target) -> None:
    """Hold as many connections as possible, without a request."""

    async def hold() -> None:
        reader, _ = await target.connect()
        await reader.read(1)

    await forever(IDLE, hold, 1.0)


def names(count: int) -> Iterator[bytes]:
    return (b'"name%d":1' % number for number in range(count))


ATTACKS: dict[str, Run] = {
    "10,000 rows of 28 unknown names": bodies(
        "/predict",
        JSON,
        lambda: b"[" + b",".join([b"{" + b",".join(names(28)) + b"}"] * 10_000) + b"]",
    ),
    "one row of 800,000 unknown names": bodies(
        "/predict", JSON, lambda: b"{" + b",".join(names(800_000)) + b"}"
    ),
    "one row of 800,000 equal names": bodies(
        "/predict", JSON, lambda: b"{" + b",".join([b'"name":1'] * 800_000) + b"}"
    ),
    "3,000,000 empty rows": bodies(
        "/predict", JSON, lambda: b"[" + b",".join([b"{}"] * 3_000_000) + b"]"
    ),
    "lists nested 10,000,000 deep": bodies("/predict", JSON, lambda: b"[" * 10_000_000),
    "a number of 10,000,000 digits": bodies(
        "/predict", JSON, lambda: b'[{"glucose":' + b"1" * 9_999_000 + b"}]"
    ),
    "a table of lists nested 900 deep": bodies(
        "/jobs", JSON, lambda: b"[" + b",".join([b"[" * 900 + b"]" * 900] * 5000) + b"]"
    ),
    "a table of 1,000,000 newlines": bodies("/jobs", CSV, lambda: b"\n" * 1_000_000),
    "a table of one endless line": endless_line,
    "200 clients that drip headers": drips(b"GET /predict HTTP/1.1\r\nHost: bench\r\nX: "),
    "200 clients that drip a body": drips(head("/predict", JSON, 1_000_000)),
    "200 clients that drip an upload": drips(head("/jobs", CSV, 1_000_000)),
    "200 clients that do not read a result": stalled_readers,
    "1,500 idle connections": idle_connections,
}


async def attack(name: str, target: Target, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(ATTACKS[name](target), seconds)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    asyncio.run(attack(sys.argv[1], Target(int(sys.argv[2]), sys.argv[4]), float(sys.argv[3])))
