"""The front on its own: what one request may cost the event loop, and what its answers carry."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from tests.unit.production_server.web.cards import BINARY
from tests.unit.production_server.web.fronts import Exchange, make_front

ROW = {feature.name: feature.default for feature in BINARY.features}
ODD = {feature.name: feature.high + 1 for feature in BINARY.features if feature.maximum is None}


def test_a_row_gets_its_answer() -> None:
    exchange = Exchange()
    exchange.send(make_front(), json.dumps(ROW).encode())
    assert exchange.status == 200
    assert json.loads(exchange.body)["predictions"][0]["probability"] == 0.25


def test_a_large_answer_is_the_same_as_a_small_one() -> None:
    rows = [ROW if number % 3 else ROW | ODD for number in range(1000)]
    many, one, other = Exchange(), Exchange(), Exchange()
    many.send(make_front(), json.dumps(rows).encode())
    one.send(make_front(), json.dumps(ROW).encode())
    other.send(make_front(), json.dumps(ROW | ODD).encode())
    answer, plain, odd = (json.loads(exchange.body) for exchange in (many, one, other))
    assert odd["predictions"][0]["warnings"]
    expected = [(plain if number % 3 else odd)["predictions"][0] for number in range(1000)]
    assert answer == {**plain, "predictions": expected}


def test_a_body_may_come_in_parts() -> None:
    body = json.dumps([ROW] * 200).encode()
    exchange = Exchange()
    exchange.send(make_front(), *[body[at : at + 1000] for at in range(0, len(body), 1000)])
    assert len(json.loads(exchange.body)["predictions"]) == 200


def test_no_answer_may_be_cached_or_taken_for_something_else() -> None:
    for method, body in (("POST", json.dumps(ROW)), ("POST", "{"), ("PUT", ""), ("GET", "")):
        exchange = Exchange(method)
        exchange.send(make_front(), body.encode())
        assert exchange.headers["cache-control"] == "no-store"
        assert exchange.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_refused_and_the_rest_not_read(declared: bool) -> None:
    exchange = Exchange(**({"content_length": "2000000"} if declared else {}))
    taken = []

    async def receive() -> dict[str, object]:
        taken.append(1)
        start = b"[" if len(taken) == 1 else b" "
        return {"type": "http.request", "body": start + b" " * 65535, "more_body": True}

    asyncio.run(exchange.run(make_front(max_rows=1000), receive))
    assert (exchange.status, json.loads(exchange.body)["code"]) == (413, "body_too_large")
    assert len(taken) == (1 if declared else 16)


def test_a_row_that_is_too_large_is_refused_at_its_beginning() -> None:
    exchange = Exchange()
    taken = []

    async def receive() -> dict[str, object]:
        taken.append(1)
        return {"type": "http.request", "body": b'{"a": 1, ' + b" " * 1000, "more_body": True}

    asyncio.run(exchange.run(make_front(), receive))
    assert (exchange.status, json.loads(exchange.body)["code"]) == (413, "row_too_large")
    assert len(taken) == 5


def test_a_query_has_a_limit() -> None:
    exchange = Exchange("GET", query=b"a=" + b"x" * 10_000)
    exchange.send(make_front())
    assert (exchange.status, json.loads(exchange.body)["code"]) == (414, "query_too_long")


def test_large_bodies_leave_the_loop_to_others() -> None:
    """Three requests of 10,000 rows at once: no turn of the loop takes long."""
    body = json.dumps([ROW | ODD] * 10_000).encode()
    front = make_front()
    pauses: list[float] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body}

    async def watch() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            pauses.append(now - last)
            last = now

    async def all_of_them() -> list[Exchange]:
        watching = asyncio.create_task(watch())
        exchanges = [Exchange() for _ in range(3)]
        await asyncio.gather(*(exchange.run(front, receive) for exchange in exchanges))
        watching.cancel()
        return exchanges

    for exchange in asyncio.run(all_of_them()):
        assert len(json.loads(exchange.body)["predictions"]) == 10_000
    assert len(pauses) > 300
    assert max(pauses) < 0.05


@pytest.mark.parametrize(("query", "body"), [(b"other=", None), (b"", b'{"other": null}')])
def test_an_unknown_name_without_a_value_is_refused(query: bytes, body: bytes | None) -> None:
    exchange = Exchange("POST" if body else "GET", query=query)
    exchange.send(make_front(), body or b"")
    found = json.loads(exchange.body)["errors"]
    assert exchange.status == 422
    assert ("other", "unknown_field") in [(one["field"], one["code"]) for one in found]


def test_an_error_of_our_own_is_a_problem_too() -> None:
    front = make_front()
    front._services.lane.submit = None  # type: ignore[method-assign, assignment]
    exchange = Exchange()
    exchange.scope["stackserve.request_id"] = "mine"
    exchange.send(front, json.dumps(ROW).encode())
    assert exchange.status == 500
    found = json.loads(exchange.body)
    assert (found["code"], found["request_id"]) == ("internal_error", "mine")
