"""Tokens of identity providers: of a small one of this suite, a certified one, and Canaille."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import canaille
from tests.support.certified_provider import AUDIENCE as RESOURCE
from tests.support.certified_provider import PROGRAM, certified_provider
from tests.support.identity_provider import AUDIENCE, IdentityProvider, identity_provider
from tests.support.rows import shipped
from tests.support.service import Service
from tests.support.tables import csv_body, follow, submit, table


def guarded(folder: Path, issuer: str, audience: str, **others: str) -> Service:
    settings = {
        "STACKSERVE_ACCESS": "oidc",
        "STACKSERVE_OIDC_ISSUER": issuer,
        "STACKSERVE_OIDC_AUDIENCE": audience,
        **others,
    }
    return Service(folder, settings=settings)


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def service(
    provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("oidc")
    with guarded(folder, provider.issuer, AUDIENCE) as running:
        yield running


def client(service: Service, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=service.url, headers=headers, timeout=30)


def default_row() -> dict[str, float]:
    return {feature.name: feature.default for feature in shipped()[1].features}


def test_two_people_predict_and_have_their_own_jobs(
    service: Service, provider: IdentityProvider
) -> None:
    _, card = shipped()
    with (
        client(service, provider.token(sub="ann")) as ann,
        client(service, provider.token(sub="ben")) as ben,
    ):
        assert ann.post("/predict", json=default_row()).status_code == 200
        job = submit(ann, csv_body(card, table(card, 20)))["id"]
        assert follow(ann, job)["state"] == "done"
        # The same person with a new token.
        with client(service, provider.token(sub="ann", jti="2")) as again:
            assert [one["id"] for one in again.get("/jobs").json()["jobs"]] == [job]
        assert ben.get("/jobs").json()["jobs"] == []
        assert ben.get(f"/jobs/{job}").status_code == 404
        assert ann.get("/metrics").status_code == 403


def test_a_token_that_is_not_valid(service: Service, provider: IdentityProvider) -> None:
    stranger = provider.new_key("first")
    for token in (
        provider.token(exp=1),
        provider.token(aud="other"),
        provider.token(stranger),
        provider.signed_with_secret(provider.keys[0].as_pem(private=False)),
    ):
        with client(service, token) as forger:
            refused = [forger.post("/predict", json=default_row()), forger.get("/jobs")]
            assert [answer.status_code for answer in refused] == [401, 401]
            assert "not valid" in refused[0].json()["detail"]


def test_a_provider_that_hangs_holds_up_nobody_else(
    provider: IdentityProvider, tmp_path: Path
) -> None:
    with guarded(tmp_path, provider.issuer, AUDIENCE) as service:
        provider.hangs.set()
        try:
            with client(service, provider.token()) as waiting, httpx.Client() as other:
                began = time.monotonic()
                slow = waiting.build_request("POST", "/predict", json=default_row())
                answers: list[httpx.Response] = []
                thread = threading.Thread(target=lambda: answers.append(waiting.send(slow)))
                thread.start()
                for _ in range(10):
                    asked = time.monotonic()
                    assert other.get(f"{service.url}/ping").status_code == 200
                    assert time.monotonic() - asked < 1
                    time.sleep(0.1)
                thread.join()
                assert answers[0].status_code == 503
                assert answers[0].json()["code"] == "identity_provider_unavailable"
                assert time.monotonic() - began < 8
        finally:
            provider.hangs.clear()


@pytest.fixture
def certified(needs: Callable[[object, str], None], tmp_path: Path) -> Iterator[str]:
    needs(shutil.which("npm"), "npm is not installed: apt-get install npm")
    with certified_provider(tmp_path / "provider") as issuer:
        yield issuer


@pytest.mark.long
def test_a_token_of_a_certified_provider(certified: str, tmp_path: Path) -> None:
    def token(resource: str) -> str:
        asked = {
            "grant_type": "client_credentials",
            "scope": "predict jobs",
            "resource": resource,
        }
        answer = httpx.post(f"{certified}/token", data=asked, auth=PROGRAM)
        return str(answer.raise_for_status().json()["access_token"])

    _, card = shipped()
    with guarded(tmp_path / "service", certified, RESOURCE) as service:
        with client(service, token(RESOURCE)) as good:
            assert good.post("/predict", json=default_row()).status_code == 200
            job = submit(good, csv_body(card, table(card, 20)))["id"]
            assert follow(good, job)["state"] == "done"
            assert good.get("/metrics").status_code == 403
        with client(service, token("urn:other")) as other:
            assert other.post("/predict", json=default_row()).status_code == 401


@pytest.mark.long
def test_tokens_of_canaille(tmp_path: Path) -> None:
    students = {
        "STACKSERVE_OIDC_CLAIM": "groups",
        "STACKSERVE_OIDC_SCOPES": "students=predict,students=jobs",
    }
    with (
        canaille.canaille(tmp_path / "provider") as issuer,
        guarded(tmp_path / "service", issuer, canaille.AUDIENCE, **students) as service,
    ):
        _, card = shipped()
        good = canaille.token(issuer, canaille.PAGES)
        with client(service, good) as ann:
            assert ann.post("/predict", json=default_row()).status_code == 200
            job = submit(ann, csv_body(card, table(card, 20)))["id"]
            assert follow(ann, job)["state"] == "done"
            refused = ann.get("/metrics")
            assert refused.status_code == 403 and "'ann'" in refused.json()["detail"]
        head, _, signature = good.split(".")
        other = canaille.token(issuer, canaille.OTHER)
        forged = ".".join([head, other.split(".")[1], signature])
        for token, why in (
            (other, "its claim 'aud' does not fit"),
            (canaille.expired_token(issuer), "it has expired"),
            (forged, "its signature does not fit"),
        ):
            with client(service, token) as forger:
                answers = [forger.post("/predict", json=default_row()), forger.get("/jobs")]
                assert [answer.status_code for answer in answers] == [401, 401]
                assert why in answers[0].json()["detail"]
