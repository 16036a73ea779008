"""Send a server what its user data does not contain, over ssh: stackserve-deliver takes it there.

Its host key is the one on the console, so nothing is sent to a server that the cloud does not show.
A booting server refuses connections for a while: attempts repeat until one succeeds.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from openstack_client.errors import ContextualizationError, LauncherError, ServerError
from openstack_client.watch.boot import BootConsole, knows_host
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import QUIET, SshTarget, failure

PROGRAM = "/usr/local/sbin/stackserve-deliver"
# A large model may take long, a dead connection must not.
ALIVE = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
NO_CONNECTION = 255
# As stackserve-deliver and sudo say it.
OTHER_CODE = 65
NO_PROGRAM = f"{PROGRAM}: command not found"
PAUSE = 0.1
# A server that is still being set up may refuse for a while what it takes later.
PATIENCE = 600.0
# Sooner than that, say why it takes long.
NOTED_AFTER = 30.0
# A server that finds its code on its image waits for less, even on a slow machine.
GRACE = 5.0

NO_HOST_KEY = "the console has not shown its host key"
LOOK_AT_PORT = (
    "The launcher must reach port 22: check --ssh-from, firewalls and your VPN, or go through a "
    "host in its network with --ssh-via. Then run the command again."
)
# What ssh says, and what to do about it.
REMEDIES = {
    "Permission denied": (
        "ssh must log in without a question, with the key that the server was created with: run "
        "the command where that key is, or replace the server with --recreate."
    ),
    "verification failed": (
        "Something else answers at this address, or the key in {known_hosts} is not the server's. "
        "Compare it with the console (`logs`), then run the command again."
    ),
}


class _Sending:
    """One ssh command under way, with its input. Nothing waits for it."""

    def __init__(self, command: list[str], data: bytes) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        self.printed = self.errors = b""
        self.thread = threading.Thread(target=self._communicate, args=(data,), daemon=True)
        self.thread.start()

    def _communicate(self, data: bytes) -> None:
        self.printed, self.errors = self.process.communicate(data)

    @property
    def ended(self) -> bool:
        return not self.thread.is_alive()

    def stop(self) -> None:
        self.process.kill()
        self.thread.join()


@dataclass
class Delivery:
    """Something that one server lacks: its code, or a worker VM's ticket."""

    target: SshTarget
    server: str
    """What messages call it: the server, for example."""
    what: str
    content: Callable[[], bytes] = field(repr=False)
    """It may be secret. May raise a LauncherError, if it cannot be had yet."""
    progress: Progress
    done: bool = False
    answer: str = "ssh has not answered yet"
    """The last thing that was heard from the server."""
    error: LauncherError | None = None
    """What the latest failure is reported as, if it lasts."""
    sending: _Sending | None = None
    failing_since: float | None = None
    noted: bool = False

    def attempt(self, *, awaited: bool = True) -> bool:
        """Send it, or look how far that is, without waiting. Returns whether the server has it.

        While it is not `awaited`, the server still boots, and failures mean nothing.
        """
        self._look(awaited)
        if not self.done and not self.sending:
            self._start(awaited)
        return self.done

    def complete(self, *, awaited: bool = True) -> bool:
        """Attempt it once, and wait until that has ended."""
        self.attempt(awaited=awaited)
        while self.sending:
            time.sleep(PAUSE)
            self._look(awaited)
        return self.done

    def close(self) -> None:
        """End an attempt that is under way."""
        if self.sending:
            self.sending.stop()
            self.sending = None

    def _look(self, awaited: bool) -> None:
        """See what came of the attempt, if it has ended."""
        if self.sending and self.sending.ended:
            sent, self.sending = self.sending, None
            self._judge(sent, awaited)

    def _start(self, awaited: bool) -> None:
        try:
            data = self.content()
        except LauncherError as error:
            self._failed(error.what.rstrip("."), awaited)
            return
        command = f"sudo -n {PROGRAM} {self.what}"
        try:
            self.sending = _Sending(self.target.command(command, options=(*QUIET, *ALIVE)), data)
        except OSError as error:
            raise ServerError(
                f"Cannot run ssh, which sends the {self.what}: {error.strerror}.",
                "Install OpenSSH's client. Then run the command again.",
            ) from error

    def _judge(self, sent: _Sending, awaited: bool) -> None:
        code = sent.process.returncode
        if code == 0:
            self.done, self.answer = True, f"it has its {self.what}"
            if b"there" not in sent.printed:
                self.progress.note(f"{self.what.capitalize()} delivered.")
            return
        answer = failure(sent.errors)
        if code == OTHER_CODE:
            raise ContextualizationError(
                f"{self._server} was created with different code: {answer}.",
                "Deploy the code it was created with, or recreate it with --recreate.",
            )
        self._failed(answer, awaited, connected=code != NO_CONNECTION)

    def _failed(self, answer: str, awaited: bool, *, connected: bool = True) -> None:
        """Try again later, unless it has failed for long."""
        self.answer = answer
        self.error = self._described(answer, connected)
        if not awaited:
            return
        now = time.monotonic()
        self.failing_since = now if self.failing_since is None else self.failing_since
        # A server that waits for its code has all programs that its user data writes.
        if now - self.failing_since > PATIENCE or NO_PROGRAM in answer:
            raise self.error
        if now - self.failing_since > NOTED_AFTER and not self.noted:
            self.noted = True
            self.progress.note(f"Still trying: {self.error.what} {self.error.remedy}")

    def _described(self, answer: str, connected: bool) -> LauncherError:
        if not connected:
            remedy = next((REMEDIES[words] for words in REMEDIES if words in answer), LOOK_AT_PORT)
            return ServerError(
                f"{self._server} does not get its {self.what}, because ssh fails: {answer}.",
                remedy.format(known_hosts=self.target.known_hosts),
            )
        if NO_PROGRAM in answer:
            return ContextualizationError(
                f"{self._server} was created by an older release, which sent its {self.what} over "
                "HTTP. This one sends it over ssh alone.",
                "Replace the server with --recreate, or finish with the release that created it.",
            )
        return ContextualizationError(
            f"{self._server} does not get its {self.what}: {answer}.",
            "Run `deploy` again, or replace all servers with --recreate.",
        )

    @property
    def _server(self) -> str:
        return f"{self.server[:1].upper()}{self.server[1:]}"


def by_hand(target: SshTarget) -> str:
    """What to do if the console does not show the host key."""
    return (
        "Get its host key in a way that you trust, such as the dashboard's console "
        "(`cat /etc/ssh/ssh_host_ed25519_key.pub`). Write it into "
        f"{target.known_hosts} as one line: {target.address}, a space, and the key. "
        "Then run the command again."
    )


@dataclass
class CodeDelivery:
    """Delivers the code that a server's user data names, as soon as its host key is known."""

    console: BootConsole
    delivery: Delivery
    payload: bytes
    in_image: bool = False
    """Whether its image should have the code. Then it is sent only if the server waits for it."""
    waits_since: float | None = None

    @classmethod
    def to(
        cls,
        target: SshTarget,
        server: str,
        payload: bytes,
        console: BootConsole,
        *,
        in_image: bool = False,
    ) -> CodeDelivery:
        delivery = Delivery(target, server, "code", lambda: payload, console.progress)
        return cls(console, delivery, payload, in_image)

    @property
    def done(self) -> bool:
        return not self.payload or self.delivery.done or self.console.has_done("code")

    def attempt(self) -> bool:
        """Try it, if it is time, without waiting. Returns whether the server has its code."""
        if self.done:
            self.close()  # what is still being sent is not needed
        return self.done or (self._may_send() and self.delivery.attempt(awaited=self._awaited))

    def complete(self) -> bool:
        """Try it, if it is time, and wait until that has ended."""
        return self.done or (self._may_send() and self.delivery.complete(awaited=self._awaited))

    def close(self) -> None:
        self.delivery.close()

    @property
    def missing(self) -> str:
        """What keeps the code from the server, for an error message; empty if it has it."""
        if self.done:
            return ""
        return self.delivery.answer if self._knows_host else NO_HOST_KEY

    @property
    def remedy(self) -> str:
        """What to do about that; empty if nothing is known to be wrong."""
        if self.done or not self._awaited:
            return ""
        if not self._knows_host:
            return by_hand(self.delivery.target)
        return self.delivery.error.remedy if self.delivery.error else ""

    @property
    def needs_host_key(self) -> bool:
        """Whether a booting server could be sent its code, if only its console showed the key."""
        boots = bool(self.console.marks) and not self.console.has_begun("code")
        return boots and not self.done and not self._knows_host

    @property
    def _awaited(self) -> bool:
        """Whether the server waits for it, as far as the console shows that."""
        return self.console.has_begun("code") or not self.console.works

    @property
    def _knows_host(self) -> bool:
        target = self.delivery.target
        return knows_host(target.known_hosts, target.address)

    def _may_send(self) -> bool:
        if self._knows_host:
            return self._waits_for_long() or not self.in_image
        if self.console.works:
            return False
        raise ServerError(
            f"This cloud shows no console log, so the host key of {self.delivery.server} is not "
            "known, and its code is not sent.",
            by_hand(self.delivery.target),
        )

    def _waits_for_long(self) -> bool:
        now = time.monotonic()
        if self._awaited and self.waits_since is None:
            self.waits_since = now
        return self.waits_since is not None and now - self.waits_since > GRACE
