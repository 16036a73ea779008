"""Which host a message comes from: RabbitMQ's word counts more than the sender's."""

from __future__ import annotations

import pytest
from celery import Celery

from production_server.messaging.senders import host_of, own_account, signature

OWN = "stackserve"


@pytest.mark.parametrize(
    ("account", "claimed", "host"),
    [
        (OWN, "demo", "demo"),
        (OWN, None, None),
        (OWN, 7, None),
        (OWN, "", None),
        (OWN, "a" * 65, None),
        (OWN, "<b>", None),
        (OWN, "two\nlines", None),
        ("worker-w1", "w1", "w1"),
        # A worker VM cannot pass its work off as another's.
        ("worker-w1", "w2", "w1"),
        ("worker-w1", None, "w1"),
        ("worker-", "w2", None),
        ("somebody", "w2", None),
        (None, "w2", None),
    ],
)
def test_the_host_of_a_message(account: str | None, claimed: object, host: str | None) -> None:
    properties = {"user_id": account} if account else {}
    assert host_of(properties, claimed, OWN) == host


def test_the_only_process_believes_itself() -> None:
    assert host_of({}, "demo", None) == "demo"
    assert host_of(None, "demo", None) == "demo"


@pytest.mark.parametrize(
    ("url", "account"),
    [
        ("memory://localhost//", None),
        ("amqp://127.0.0.1", "guest"),
        ("amqp://stack%2Fserve:secret@127.0.0.1/stackserve", "stack/serve"),
        ("amqps://worker-w1:secret@10.0.0.1:5671/stackserve", "worker-w1"),
    ],
)
def test_the_account_of_a_url(url: str, account: str | None) -> None:
    app = Celery(broker=url)
    assert own_account(app) == account
    assert signature(app) == ({"user_id": account} if account else {})
