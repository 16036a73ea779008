"""A command on a server that runs for long, or takes or gives much data, over ssh."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from openstack_client.errors import ContextualizationError, ServerError
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget

# No prompts, and an end to a connection that is dead.
OPTIONS = [
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=8"),
]
BLOCK = 1 << 20
LOG_LINES = 12
REPORT_EVERY = 1.0
NO_SUCH_VERB = "No such command"


@dataclass
class Remote:
    """A command that runs on the server."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    address: str

    @classmethod
    @contextmanager
    def running(cls, target: SshTarget, command: str, *, feed: bool = False) -> Iterator[Remote]:
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                target.command(command, options=OPTIONS),
                stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                # The terminal sends Ctrl-C to its whole group; ssh must end only when we say so.
                start_new_session=True,
            )
            with process:
                try:
                    yield cls(process, errors, target.address)
                finally:
                    if process.poll() is None:
                        process.kill()

    def receive(self, out: IO[bytes], progress: Progress) -> None:
        assert self.process.stdout is not None
        done, reported = 0, time.monotonic()
        while block := self.process.stdout.read1(BLOCK):  # type: ignore[attr-defined]
            progress.stage("saved")
            progress.stage("received", "begin")
            done += out.write(block)
            if time.monotonic() > reported + REPORT_EVERY:
                progress.console(f"{megabytes(done)} received")
                reported = time.monotonic()

    def feed(self, file: Path, progress: Progress) -> None:
        with file.open("rb") as source:
            self.feed_from(source, file.stat().st_size, progress)

    def feed_from(self, source: IO[bytes], size: int, progress: Progress) -> None:
        assert self.process.stdin is not None
        done, reported = 0, time.monotonic()
        try:
            with self.process.stdin as out:
                while block := source.read(BLOCK):
                    done += out.write(block)
                    if time.monotonic() > reported + REPORT_EVERY:
                        progress.console(f"{megabytes(done)} of {megabytes(size)} sent")
                        reported = time.monotonic()
        except BrokenPipeError:
            return  # `end` reports why

    def follow(self, progress: Progress) -> None:
        """Report each line as a stage."""
        for line in self.lines():
            progress.stage(line.strip())

    def lines(self) -> Iterator[str]:
        """What it prints, line by line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield line.decode("utf-8", "replace").rstrip()

    def complaints(self) -> list[str]:
        """The last lines that it printed as errors, once it has ended."""
        self.errors.seek(0)
        text = self.errors.read().decode("utf-8", "replace")
        return text.strip().splitlines()[-LOG_LINES:]

    def end(self, doing: str) -> None:
        """Wait for the command; raise an error with its last lines if it failed."""
        code = self.process.wait()
        if code == 0:
            return
        lines = self.complaints()
        if code == 255:
            raise ServerError(
                f"The ssh connection to {self.address} failed: {_last(lines)}.",
                "Try `ssh`, which uses the same key and host key.",
            )
        remedy = "Run `logs` or `ssh` to find out more."
        if any(NO_SUCH_VERB in line for line in lines):
            remedy = "Its code is older than this verb."
        raise ContextualizationError(
            f"The server could not {doing} (exit code {code}).", remedy, log="\n".join(lines)
        )


def _last(lines: Sequence[str]) -> str:
    return lines[-1].strip().rstrip(".") if lines else "no reason given"


def megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
