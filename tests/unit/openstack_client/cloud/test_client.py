"""Retries: when, how often, and never creating a resource twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from keystoneauth1 import exceptions as auth_errors
from novaclient import exceptions as nova_errors

from openstack_client.cloud.client import Cloud, region_of
from openstack_client.cloud.credentials import Source
from openstack_client.errors import CloudError, CredentialsError

VALUES = {
    "auth_url": "http://127.0.0.1:1/v3",
    "username": "u",
    "password": "p",
    "project_name": "d",
    "user_domain_name": "Default",
    "project_domain_name": "Default",
}
RESET = auth_errors.ConnectFailure("http://nova:1: Connection reset by peer")


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def cloud(notes: list[str], monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setattr("openstack_client.cloud.client.FIRST_PAUSE", 0.0)
    region = region_of(Source("environment", "test", values=VALUES), {})
    return Cloud(region, timeout=1, retries=3, note=notes.append)


class Answers:
    """Returns one prepared answer after another, or raises it if it is an exception."""

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


PASSWORDS = {
    "username": "u",
    "password": "p",
    "project_name": "d",
    "user_domain_name": "Default",
    "project_domain_id": "default",
}
CREDENTIAL = {"application_credential_id": "i", "application_credential_secret": "s"}


def clouds_yaml(folder: Path, auth: dict[str, str], **more: str) -> Source:
    file = folder / "clouds.yaml"
    file.write_text(yaml.safe_dump({"clouds": {"mine": {"auth": auth, **more}}}))
    return Source("clouds.yaml", "cloud 'mine'", cloud="mine", file=file)


@pytest.mark.parametrize(
    ("auth", "kind", "absent"),
    [
        (PASSWORDS, "password", []),
        ({**PASSWORDS, "password": ""}, "password", ["password"]),
        ({"username": "u", "user_domain_id": "default", "project_id": "x"}, "", ["password"]),
        ({"username": "u", "password": "p", "project_id": "x"}, "password", ["user_domain_name"]),
        (CREDENTIAL, "v3applicationcredential", []),
        ({"token": "t", "project_id": "x"}, "v3token", []),
    ],
)
def test_missing_credentials_are_named(
    tmp_path: Path, auth: dict[str, str], kind: str, absent: list[str]
) -> None:
    more = {"auth_type": kind} if kind else {}
    source = clouds_yaml(tmp_path, {**auth, "auth_url": "https://cloud/v3"}, **more)
    if not absent:
        assert region_of(source, {}).config["auth"]["auth_url"] == "https://cloud/v3"
        return
    with pytest.raises(CredentialsError, match="cloud 'mine' are incomplete") as caught:
        region_of(source, {})
    assert [problem.subject for problem in caught.value.problems] == absent


def test_the_password_may_be_in_secure_yaml(tmp_path: Path) -> None:
    auth = {**PASSWORDS, "password": "", "auth_url": "https://cloud/v3"}
    source = clouds_yaml(tmp_path, auth)
    (tmp_path / "secure.yaml").write_text("clouds: {mine: {auth: {password: secret}}}")
    assert region_of(source, {}).config["auth"]["password"] == "secret"


def test_a_credential_without_its_secret(tmp_path: Path) -> None:
    auth = {"application_credential_id": "i", "auth_url": "https://cloud/v3"}
    source = clouds_yaml(tmp_path, auth, auth_type="v3applicationcredential")
    with pytest.raises(CredentialsError, match=r"cloud 'mine' are not valid: .*secret\.$"):
        region_of(source, {})


def test_an_address_without_a_scheme(tmp_path: Path) -> None:
    source = Source(
        "environment", "the OS_* variables", values={**VALUES, "auth_url": "cloud:5000"}
    )
    with pytest.raises(CredentialsError, match="The auth URL 'cloud:5000' is not valid"):
        region_of(source, {})


def test_503_three_times_and_then_an_answer(cloud: Cloud, notes: list[str]) -> None:
    answers = Answers(unavailable(), unavailable(), unavailable(), "list")
    assert cloud.request("Nova", "list the servers", answers) == "list"
    assert len(notes) == 3
    assert notes[0].startswith("Nova answered 503 (request: list the servers); retrying in")
    assert "(1 of 3)" in notes[0]


def test_the_final_error_counts_the_attempts(cloud: Cloud) -> None:
    with pytest.raises(
        CloudError, match="Nova could not list the servers after 4 attempts"
    ) as caught:
        cloud.request("Nova", "list the servers", Answers(*[unavailable() for _ in range(9)]))
    assert caught.value.status == 503


def test_a_bad_request_is_not_retried(cloud: Cloud) -> None:
    answers = Answers(nova_errors.BadRequest(400, "Invalid"), "never")
    with pytest.raises(CloudError, match="Invalid"):
        cloud.request("Nova", "create the server", answers)
    assert answers.calls == 1


def test_a_lost_answer_does_not_create_a_second_server(cloud: Cloud) -> None:
    create = Answers(RESET, "second server")
    assert (
        cloud.create("Nova", "create the server", create, lambda: "first server") == "first server"
    )
    assert create.calls == 1


def test_a_lost_request_is_sent_again(cloud: Cloud) -> None:
    create = Answers(RESET, "server")
    assert cloud.create("Nova", "create the server", create, lambda: None) == "server"
    assert create.calls == 2


def test_the_check_before_a_retry_may_fail_too(cloud: Cloud) -> None:
    create, find = Answers(RESET, "server"), Answers(RESET, None)
    assert cloud.create("Nova", "create the server", create, find) == "server"


def test_a_bug_is_not_an_api_failure(cloud: Cloud) -> None:
    with pytest.raises(KeyError):
        cloud.request("Nova", "x", Answers(KeyError("bug")))
