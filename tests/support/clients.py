"""Many clients that each ask at a steady rate, and everything that they were answered."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np
from numpy.typing import NDArray

from production_server.access.policy import CLIENT_OWNER
from production_server.access.signing import signing_of
from production_server.web.access import CLIENT
from tests.support.service import Service

THREADS = 8
TOLERANCE = 1e-5


@dataclass
class Clients:
    """`versions` has what each client was answered by, in order of the answers."""

    rows: list[dict[str, float]]
    expected: dict[str, NDArray[np.float32]]
    versions: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)
    count: int = 0

    def check(self, client: str, at: int, answer: httpx.Response) -> None:
        self.count += 1
        if answer.status_code != 200:
            self.wrong.append(f"{answer.status_code} {answer.text}")
            return
        body = answer.json()
        right = float(self.expected[body["version"]][at])
        found = body["predictions"][0]["probability"]
        if abs(found - right) > TOLERANCE:
            self.wrong.append(f"{body['version']} answered {found}, not {right}")
        self.versions[client].append(body["version"])

    def latest(self) -> dict[str, set[str]]:
        """What each client was answered by since the last call."""
        found = {client: set(versions) for client, versions in list(self.versions.items())}
        self.versions.clear()
        return found

    def wait_for(self, versions: dict[str, str], timeout: float = 60) -> None:
        """Wait until the last answers of all clients came from these versions, by client."""
        until = time.monotonic() + timeout
        while True:
            last = {name: answers[-1] for name, answers in list(self.versions.items()) if answers}
            if last == versions:
                return
            assert not self.wrong, self.wrong[:3]
            assert time.monotonic() < until, f"it did not happen: {last}"
            time.sleep(0.2)

    def more(self, count: int) -> None:
        """Wait for as many more answers."""
        wanted = self.count + count
        until = time.monotonic() + 60
        while self.count < wanted and time.monotonic() < until:
            time.sleep(0.05)


@contextmanager
def clients(service: Service, names: list[str], rate: float, told: Clients) -> Iterator[Clients]:
    """Let clients of these names, known by their cookies, send `rate` requests a second in all."""
    signing = signing_of(service.home / "access")
    cookies = {name: f"{CLIENT}={signing.client(name)}" for name in names}
    stop = threading.Event()

    def ask(first: int) -> None:
        number = first
        due = time.monotonic()
        with httpx.Client(base_url=service.url, timeout=30) as client:
            while not stop.is_set():
                name, at = names[number % len(names)], number % len(told.rows)
                headers = {"Cookie": cookies[name]}
                try:
                    answer = client.post("/predict", json=told.rows[at], headers=headers)
                    told.check(CLIENT_OWNER + name, at, answer)
                except httpx.HTTPError as error:
                    told.wrong.append(repr(error))
                number += THREADS
                due += THREADS / rate
                stop.wait(max(0.0, due - time.monotonic()))

    with ThreadPoolExecutor(THREADS) as pool:
        asking = [pool.submit(ask, number) for number in range(THREADS)]
        try:
            yield told
        finally:
            stop.set()
            for thread in asking:
                thread.result(timeout=60)
