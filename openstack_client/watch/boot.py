"""Follow a server's boot on its console: its stages, and its ssh host keys.

Used by both deploy and bake, which each wait for something different.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Server
from openstack_client.errors import CloudError, ContextualizationError
from openstack_client.watch import console
from openstack_client.watch.progress import Progress

CONSOLE_EVERY = 3.0
# With these statuses, the cloud never shows this user a console.
NO_CONSOLE = {403, 404, 409, 501}


@dataclass
class BootConsole:
    """The console of a booting server. Each update reports progress and saves the host keys."""

    cloud: Cloud
    server: Server
    address: str
    progress: Progress
    known_hosts: Path | None
    needed: bool = False
    """Whether a missing console is an error."""
    stages: tuple[str, ...] = console.STAGES
    works: bool = True
    text: str = ""
    marks: list[console.Mark] = field(default_factory=list)
    last_line: str = ""

    def update(self) -> None:
        """Read the console, if the cloud shows one."""
        if not self.works:
            return
        try:
            self.text = read_console(self.cloud, self.server)
        except CloudError as error:
            if error.status in NO_CONSOLE and not self.needed:
                self.works = False
                self.progress.note(
                    f"No console log available, so stages are not shown: {error.what}"
                )
            elif error.status in NO_CONSOLE or not error.is_temporary:
                raise
            else:
                self.progress.note(f"Still waiting: {error.what}")
            return
        self.marks = console.since_boot(console.marks(self.text, self.stages))
        for mark in self.marks:
            self.progress.stage(mark.stage, mark.state, mark.detail)
        self.last_line = console.last_line(self.text) or self.last_line
        self.progress.console(self.last_line)
        if self.known_hosts:
            remember_host_keys(self.known_hosts, self.address, self.text)

    def has_begun(self, stage: str) -> bool:
        return any(mark.stage == stage for mark in self.marks)

    def has_done(self, stage: str) -> bool:
        return any(mark.stage == stage and mark.state == "done" for mark in self.marks)

    def raise_failure(self, place: str, remedy: str) -> None:
        """Raise an error with the log of the failed step, if there is one."""
        mark = console.failed(self.marks)
        if mark is None:
            return
        detail = f": {mark.detail}" if mark.detail else ""
        raise ContextualizationError(
            f"The step {mark.stage!r} failed on the {place} {mark.uptime:.0f} s after it "
            f"booted{detail}.",
            remedy,
            log=console.before_failure(self.text, mark.stage),
        )

    @property
    def last_line_sentence(self) -> str:
        """The last line, as a sentence for an error message."""
        return f" Last line of the console: {self.last_line!r}." if self.last_line else ""


def read_console(cloud: Cloud, server: Server, length: int | None = None) -> str:
    """The server's console log."""
    return str(
        cloud.request(
            "Nova",
            "show the console log",
            lambda: cloud.nova.servers.get_console_output(server.id, length=length),
        )
        or ""
    )


def remember_host_keys(file: Path, address: str, text: str) -> bool:
    """Save the host keys shown in the console, so that ssh can verify the server."""
    keys = console.host_keys(text)
    if not keys:
        return False
    lines = console.known_hosts_lines(address, keys)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.is_file() or file.read_text(encoding="utf-8") != lines:
        file.write_text(lines, encoding="utf-8")
        file.chmod(0o600)
    return True


def knows_host(file: Path, address: str) -> bool:
    """Whether a host key for this address is saved."""
    if not file.is_file():
        return False
    lines = file.read_text(encoding="utf-8").splitlines()
    return any(line.split(" ", 1)[0] == address for line in lines)
