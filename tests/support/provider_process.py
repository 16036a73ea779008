"""The process of an identity provider, from its start to its end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

START_SECONDS = 60


@contextmanager
def serving(
    command: Sequence[str], folder: Path, keys: str, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run `command` in `folder`, from its first answer at the address `keys` on."""
    log = folder / "provider.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not _answers(keys):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.HTTPError:
        return False
