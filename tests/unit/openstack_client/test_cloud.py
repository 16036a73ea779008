"""Trying again: when it helps, how often, and never making a thing twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from keystoneauth1 import exceptions as auth_errors
from novaclient import exceptions as nova_errors

from openstack_client.cloud import Cloud, region_of
from openstack_client.credentials import Source
from openstack_client.errors import CloudError

VALUES = {
    "auth_url": "http://127.0.0.1:1/v3", "username": "u", "password": "p", "project_name": "d",
    "user_domain_name": "Default", "project_domain_name": "Default",
}  # fmt: skip
RESET = auth_errors.ConnectFailure("http://nova:1: Connection reset by peer")


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def cloud(notes: list[str], monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setattr("openstack_client.cloud.FIRST_PAUSE", 0.0)
    region = region_of(Source("environment", "test", values=VALUES), {})
    return Cloud(region, timeout=1, retries=3, note=notes.append)


class Answers:
    """Gives one prepared answer after another; an exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = iter(answers)
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        answer = next(self.answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def unavailable() -> Any:
    return nova_errors.ClientException(503, "busy")


def test_503_three_times_and_then_an_answer(cloud: Cloud, notes: list[str]) -> None:
    answers = Answers(unavailable(), unavailable(), unavailable(), "list")
    assert cloud.ask("Nova", "list the servers", answers) == "list"
    assert len(notes) == 3
    assert notes[0].startswith("Nova answered 503 when asked to list the servers; trying again in")
    assert "(1 of 3)" in notes[0]


def test_in_the_end_the_failure_is_told_with_its_tries(cloud: Cloud) -> None:
    with pytest.raises(CloudError, match="Nova could not list the servers after 4 tries") as caught:
        cloud.ask("Nova", "list the servers", Answers(*[unavailable() for _ in range(9)]))
    assert caught.value.status == 503


def test_what_is_wrong_stays_wrong_and_is_asked_once(cloud: Cloud) -> None:
    answers = Answers(nova_errors.BadRequest(400, "Invalid"), "never")
    with pytest.raises(CloudError, match="Invalid"):
        cloud.ask("Nova", "make the server", answers)
    assert answers.calls == 1


def test_a_lost_answer_does_not_make_a_second_server(cloud: Cloud) -> None:
    create = Answers(RESET, "second server")
    assert cloud.make("Nova", "make the server", create, lambda: "first server") == "first server"
    assert create.calls == 1


def test_a_lost_request_is_sent_again(cloud: Cloud) -> None:
    create = Answers(RESET, "server")
    assert cloud.make("Nova", "make the server", create, lambda: None) == "server"
    assert create.calls == 2


def test_looking_for_the_lost_one_may_fail_too(cloud: Cloud) -> None:
    create, find = Answers(RESET, "server"), Answers(RESET, None)
    assert cloud.make("Nova", "make the server", create, find) == "server"


def test_a_bug_is_not_an_api_failure(cloud: Cloud) -> None:
    with pytest.raises(KeyError):
        cloud.ask("Nova", "x", Answers(KeyError("bug")))
