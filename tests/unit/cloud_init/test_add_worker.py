"""Adding a worker from the server: bin/stackserve-add-worker."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.cloud_init.receiver import PAYLOAD, Receiver
from tests.unit.cloud_init.steps import load


@pytest.fixture
def program() -> Any:
    return load("bin/stackserve-add-worker")


def test_sends_the_code_unless_the_worker_has_it(
    program: Any, receiver: Callable[..., Receiver]
) -> None:
    path = f"/stackserve-payload/{hashlib.sha256(PAYLOAD).hexdigest()}"
    good = program.DELIVERED + program.HAS_ITS_CODE
    for vm in (receiver("payload"), receiver("password")):
        program.send("127.0.0.1", vm.port, path, PAYLOAD, good, time.monotonic() + 10)


def test_reports_a_worker_that_expects_other_code(
    program: Any, receiver: Callable[..., Receiver]
) -> None:
    with pytest.raises(SystemExit, match="other code than this server runs"):
        program.send(
            "127.0.0.1",
            receiver().port,
            "/stackserve-payload/0",
            b"old",
            (201,),
            time.monotonic() + 10,
        )


def test_reports_a_worker_that_does_not_respond(program: Any) -> None:
    with pytest.raises(SystemExit, match=r"127\.0\.0\.1 port 9 accepted nothing"):
        program.send("127.0.0.1", 9, "/x", b"", (201,), time.monotonic() + 0.2)


def test_existing_account_gets_a_new_password(
    program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[tuple[str, ...], str]] = []

    def rabbitmqctl(*arguments: str, given: str = "") -> str:
        calls.append((arguments, given))
        return "stackserve\t[]\nworker-w1\t[]\n"

    monkeypatch.setattr(program, "rabbitmqctl", rabbitmqctl)
    old, new = program.make_account("worker-w1"), program.make_account("worker-w2")
    commands = [arguments[:2] for arguments, _ in calls]
    assert ("change_password", "worker-w1") in commands
    assert ("add_user", "worker-w2") in commands
    # Passwords go to standard input, because every user of the server can read arguments.
    assert not any(old in arguments or new in arguments for arguments, _ in calls)
    assert {old, new} <= {given for _, given in calls}
