"""Who gets the candidate, what becomes of its failures, and that a shadow touches nobody."""

from __future__ import annotations

import asyncio
import json

import pytest

from production_server.model.rollout import Candidate, Mode
from production_server.web import copies
from production_server.web.choice import gets_candidate
from tests.unit.production_server.web.cards import BINARY
from tests.unit.production_server.web.fronts import Exchange
from tests.unit.production_server.web.trials import NEW, NEW_CARD, OLD, Site

ROW = {feature.name: feature.default for feature in BINARY.features}
BODY = json.dumps(ROW).encode()


def ask(site: Site, query: bytes = b"", method: str = "POST") -> Exchange:
    exchange = Exchange(method, query=query)
    exchange.send(site.front, BODY)
    return exchange


def said(exchange: Exchange) -> tuple[str, float]:
    body = json.loads(exchange.body)
    return body["version"], body["predictions"][0]["probability"]


def test_a_share_of_the_clients_is_about_as_asked_and_stays() -> None:
    clients = [f"10.0.{number // 250}.{number % 250}" for number in range(5000)]

    def chosen(share: float) -> set[str]:
        trial = Candidate(version=NEW, share=share)
        return {client for client in clients if gets_candidate(trial, client)}

    assert 0.08 < len(chosen(0.1)) / len(clients) < 0.12
    assert chosen(0.1) <= chosen(0.3) <= chosen(1) == set(clients)
    assert chosen(0) == set()
    other = Candidate(version="diabetes-3", share=0.1)
    again = {client for client in clients if gets_candidate(other, client)}
    assert len(again & chosen(0.1)) < len(again) / 2  # not always the same ones bear the risk
    shadow = Candidate(version=NEW, mode=Mode.SHADOW, share=1)
    assert not any(gets_candidate(shadow, client) for client in clients)


@pytest.mark.parametrize(("share", "version"), [(1.0, NEW), (0.0, OLD)])
def test_each_answer_is_of_the_version_that_it_names(share: float, version: str) -> None:
    site = Site(Mode.CANARY, share)
    assert said(ask(site)) == (version, 0.75 if version == NEW else 0.25)
    counted = site.counted(version)
    assert counted["requests"] == counted["rows"] == 1
    assert counted[f"label:{int(version == NEW)}"] == 1
    assert site.counted(NEW if version == OLD else OLD) == {}


def test_a_failure_of_the_candidate_is_not_the_clients() -> None:
    site = Site(Mode.CANARY, 1.0)
    site.lane.failing.add(NEW)
    assert said(ask(site)) == (OLD, 0.25)
    assert site.counted(NEW) == {"requests": 1, "failures": 1}


def test_other_features_get_no_second_attempt() -> None:
    features = [BINARY.features[0].model_copy(update={"high": 5}), *BINARY.features[1:]]
    site = Site(Mode.CANARY, 1.0, NEW_CARD.model_copy(update={"features": features}))
    site.lane.failing.add(NEW)
    assert ask(site).status == 503
    assert [one.version for one in site.lane.asked] == [NEW]


def test_a_failure_of_the_active_version_is_an_error() -> None:
    site = Site(Mode.CANARY, 0.0)
    site.lane.failing.add(OLD)
    assert ask(site).status == 503
    assert site.counted(OLD) == {"requests": 1, "failures": 1}


def test_a_request_names_its_version() -> None:
    site = Site(Mode.CANARY, 1.0)
    assert said(ask(site, f"version={OLD}".encode())) == (OLD, 0.25)
    query = "&".join(f"{name}={value}" for name, value in ROW.items())
    for text in (f"{query}&version={OLD}", f"version={OLD}&{query}"):
        assert said(ask(site, text.encode(), "GET")) == (OLD, 0.25)
    assert said(ask(site, query.encode(), "GET")) == (NEW, 0.75)
    for wrong in (
        b"version=",
        b"version=x&version=y",
        b"version=%2e%2e",
        b"version=" + b"a-1" * 99,
    ):
        assert ask(site, wrong).status == 422
    assert ask(site, b"versions=diabetes-1", "GET").status == 422  # an unknown feature, as before


def test_a_shadow_gets_copies_and_answers_nobody() -> None:
    site = Site(Mode.SHADOW, 1.0)
    assert said(ask(site)) == (OLD, 0.25)
    assert [one.version for one in site.lane.asked] == [OLD]
    assert [(one.version, one.rows) for one in site.copied.asked] == [
        (NEW, site.lane.asked[0].rows)
    ]


def counted_after(site: Site, requests: int) -> dict[str, float]:
    """What is counted of the shadow after so many requests at once."""

    async def run() -> None:
        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": BODY}

        exchanges = [Exchange() for _ in range(requests)]
        await asyncio.gather(*[exchange.run(site.front, receive) for exchange in exchanges])
        await asyncio.sleep(0.01)
        assert {said(exchange) for exchange in exchanges} == {(OLD, 0.25)}

    asyncio.run(run())
    return site.counted(NEW)


def test_a_shadow_is_compared() -> None:
    counted = counted_after(Site(Mode.SHADOW, 1.0), 3)
    assert (counted["requests"], counted["compared"], counted.get("agreed")) == (3, 3, 0)


def test_a_failing_shadow_is_counted() -> None:
    site = Site(Mode.SHADOW, 1.0)
    site.copied.failing.add(NEW)
    assert counted_after(site, 3) == {"requests": 3, "failures": 3}


def test_a_silent_shadow_gets_few_copies() -> None:
    site = Site(Mode.SHADOW, 1.0)
    site.copied.silent.add(NEW)
    assert counted_after(site, 200) == {"dropped": 200 - copies.MOST_ON_THEIR_WAY}
    assert len(site.copied.asked) == copies.MOST_ON_THEIR_WAY


def test_a_slow_shadow_rests() -> None:
    site = Site(Mode.SHADOW, 1.0)
    site.copied.seconds = 2.0
    assert counted_after(site, 1)["requests"] == 1
    assert counted_after(site, 5) == {"dropped": 5}


def test_no_copies_of_a_share_of_nothing() -> None:
    site = Site(Mode.SHADOW, 0.0)
    assert counted_after(site, 50) == {}
    assert site.copied.asked == []
