"""New versions beside the active one, under load: no request fails, no answer mixes versions."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from production_server.access.policy import CLIENT_OWNER
from production_server.model import rollout
from production_server.model.card import Card
from production_server.model.registry import Registry
from production_server.model.rollout import Candidate
from production_server.web.choice import gets_candidate
from tests.integration.test_swap import changed_model
from tests.support.clients import Clients, clients
from tests.support.rows import PATIENT, distinct_rows, keras_predictions, shipped
from tests.support.service import Service, operator
from tests.support.versions import compile_ahead, newer

NAMES = [f"client-{number}" for number in range(64)]
OWNERS = [CLIENT_OWNER + name for name in NAMES]
RATE = 50.0
SHARE = 0.25


@pytest.fixture
def registry(services: Service) -> Registry:
    return Registry(services.home / "models")


def wait_for(condition: Callable[[], object], timeout: float = 60) -> None:
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.2)


def compared(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(
        f"{service.url}/rollout", headers=operator(service.home), timeout=30
    ).json()
    return found


def told(registry: Registry, *cards: Card) -> Clients:
    rows = distinct_rows(cards[0], 97)
    return Clients(
        rows, {card.version: keras_predictions(registry, card, rows)[:, 0] for card in cards}
    )


def test_a_new_version_comes_and_goes_under_load(
    services: Service, registry: Registry, tmp_path: Path
) -> None:
    _, card = shipped()
    old = registry.active()
    new = registry.add(card, changed_model(registry, card, tmp_path)).version
    everybody_old, everybody_new = dict.fromkeys(OWNERS, old), dict.fromkeys(OWNERS, new)
    trial = Candidate(version=new, share=SHARE)
    divided = {name: new if gets_candidate(trial, name) else old for name in OWNERS}
    assert 0.1 < list(divided.values()).count(new) / len(NAMES) < 0.4

    answers = told(registry, registry.card(old), registry.card(new))
    with clients(services, NAMES, RATE, answers):
        answers.wait_for(everybody_old)

        services.verb("models", "canary", new, "--share", f"{SHARE:.0%}")
        answers.wait_for(divided)
        answers.latest()
        worker = services.processes("worker")[0]
        worker.kill()
        answers.more(300)
        assert answers.latest() == {name: {version} for name, version in divided.items()}

        found = compared(services)
        assert found["candidate"]["in_use"] is True
        assert found["versions"][new]["requests"] > 0
        assert found["versions"][new]["failures"] == found["versions"][old]["failures"] == 0

        services.verb("models", "promote")
        answers.wait_for(everybody_new)
        services.verb("models", "rollback")
        answers.wait_for(everybody_old)

        services.verb("models", "shadow", new)
        wait_for(lambda: compared(services)["versions"].get(new, {}).get("requests", 0) > 50)
        shadowed = compared(services)["versions"][new]
        assert shadowed["shadow"]["compared"] > 0 and shadowed["failures"] == 0
        answers.latest()
        services.verb("models", "rollback")
        answers.more(150)
        assert answers.latest() == {name: {old} for name in OWNERS}

        # The recorder ends this one.
        started = services.verb(
            "models", "canary", new, "--share", "50%", "--promote-after", "3s", "--if-healthy"
        )
        assert f"{new} is a canary for 50% of the clients" in started
        answers.wait_for(everybody_new)
        event = compared(services)["last_event"]
        assert (event["what"], event["version"]) == ("promoted", new)
        assert "3 s are over" in event["why"]
        services.verb("models", "rollback")
        answers.wait_for(everybody_old)
    assert answers.wrong == []


def test_a_candidate_that_does_not_load_gets_no_request(
    services: Service, registry: Registry, tmp_path: Path
) -> None:
    _, card = shipped()
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"not a model")
    old = registry.active()
    version = registry.add(card, broken).version
    answers = told(registry, registry.card(old))
    with clients(services, NAMES, RATE, answers):
        rollout.start(registry, Candidate(version=version, share=1))
        answers.more(150)
        assert answers.latest() == {name: {old} for name in OWNERS}
        assert compared(services)["candidate"]["in_use"] is False
        named = httpx.post(f"{services.url}/predict?version={version}", json=PATIENT, timeout=30)
        assert (named.status_code, named.json()["code"]) == (404, "version_not_found")
        services.verb("models", "rollback")
    assert answers.wrong == []


def test_a_request_may_name_its_version(services: Service, registry: Registry) -> None:
    active, other = registry.active(), newer(registry, activate=False)
    compile_ahead(registry, other)

    def ask(version: str, **headers: str) -> httpx.Response:
        address = f"{services.url}/predict?version={version}"
        posted = httpx.post(address, json=PATIENT, headers=headers, timeout=30)
        query = {**PATIENT, "version": version}
        got = httpx.get(f"{services.url}/predict", params=query, headers=headers, timeout=30)
        if 503 not in (got.status_code, posted.status_code):
            assert got.status_code == posted.status_code, got.text + posted.text
        return posted

    assert ask(active).json()["version"] == active
    assert ask(other).status_code == 401
    token = operator(services.home)
    # Until all workers have loaded it, some answers are 503.
    wait_for(lambda: ask(other, **token).json().get("version") == other)
    assert ask("diabetes-999", **token).status_code == 404
    for wrong in ("", "..", "Diabetes-1", "diabetes", "a" * 100):
        answer = ask(wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_version")


def test_outcomes_become_the_accuracy(services: Service, registry: Registry) -> None:
    version = registry.active()
    labels = registry.card(version).classes
    pairs = [(labels[0], labels[0])] * 3 + [(labels[0], labels[1])]
    rows = [{"version": version, "predicted": one, "outcome": other} for one, other in pairs]
    address, token = f"{services.url}/outcomes", operator(services.home)
    assert httpx.post(address, json=rows, timeout=30).status_code == 401
    assert httpx.post(address, json=rows, headers=token, timeout=30).json() == {"counted": 4}
    for wrong in ([], {}, [{**rows[0], "outcome": "?"}], [{**rows[0], "more": 1}]):
        refused = httpx.post(address, json=wrong, headers=token, timeout=30)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_outcomes")
    assert compared(services)["versions"][version]["outcomes"] == {"count": 4, "accuracy": 0.75}
    metrics = httpx.get(f"{services.url}/metrics", headers=token, timeout=30).text
    assert f'stackserve_outcomes_total{{version="{version}"}} 4.0' in metrics
    assert f'stackserve_outcomes_right_total{{version="{version}"}} 3.0' in metrics
