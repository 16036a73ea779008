"""The names of Celery nodes are unique, and broadcasts reach those that have models."""

from __future__ import annotations

import socket

import pytest
from kombu.matcher import match

from production_server.messaging.celery_worker import node_name
from production_server.messaging.workers import MODEL_NODES


def test_two_machines_with_the_same_processes_have_different_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = set()
    for host in ("front", "back", "back"):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        names.add(node_name("worker1"))
    assert len(names) == 3
    assert {name.rpartition("@")[2] for name in names} == {"front", "back"}


@pytest.mark.parametrize(
    ("name", "reached"), [("worker1", True), ("embedded", True), ("recorder", False)]
)
def test_broadcasts_reach_the_processes_with_models(
    name: str, reached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "worker7")
    assert bool(match(node_name(name), MODEL_NODES, "pcre")) is reached
