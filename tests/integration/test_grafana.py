"""docs/grafana.json: what it asks for is what a service that has worked tells in /metrics."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from production_server.live.drift import LEAST_ROWS
from production_server.live.inputs import MOST_ROWS
from tests.support.rows import distinct_rows, shipped
from tests.support.service import ROOT, Service, operator
from tests.support.tables import csv_body, follow, submit, table

DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs" / "grafana.json").read_text())
METRIC = re.compile(r"stackserve_\w+")
SELECTED = re.compile(r"(stackserve_\w+)\{([^}]*)\}")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPED = re.compile(r"by \(([^)]*)\)")
VARIABLES = {"$job", "$__rate_interval", "${datasource}"}
# Prometheus adds these to whatever it reads.
ADDED = {"job", "instance"}


def queries() -> list[str]:
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    found += [one["definition"] for one in DASHBOARD["templating"]["list"] if "definition" in one]
    return found


@pytest.fixture(scope="module")
def told(services: Service) -> dict[str, set[str]]:
    """The labels of each metric of a service that has done everything."""
    _, card = shipped()
    headers = operator(services.home)
    with httpx.Client(base_url=services.url, headers=headers, timeout=60) as client:
        rows = distinct_rows(card, MOST_ROWS)
        for _ in range(LEAST_ROWS // MOST_ROWS + 5):
            assert client.post("/predict", json=rows).status_code == 200
        assert client.post("/predict", json={}).status_code == 422
        job = submit(client, csv_body(card, table(card, 20)))["id"]
        assert follow(client, job)["state"] == "done"
        until = time.monotonic() + 20
        text = ""
        while "stackserve_input_drift{" not in text and time.monotonic() < until:
            time.sleep(0.3)
            text = client.get("/metrics").text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_metric_and_label_exists(told: dict[str, set[str]]) -> None:
    for query in queries():
        for metric in METRIC.findall(query):
            assert metric in told, query
        for metric, selectors in SELECTED.findall(query):
            assert set(LABEL.findall(selectors)) <= told[metric] | ADDED, query
        for labels in GROUPED.findall(query):
            named = {label.strip() for label in labels.split(",")}
            assert named <= set.union(*[told[metric] for metric in METRIC.findall(query)]), query


def test_the_file_has_what_grafana_requires() -> None:
    """The required fields of its dashboards, as Grafana documents them."""
    for key in ("schemaVersion", "editable", "graphTooltip", "title", "uid", "panels"):
        assert key in DASHBOARD, key
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["type"] in ("stat", "timeseries")
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert [target["refId"] for target in panel["targets"]] == list("ABC")[
            : len(panel["targets"])
        ]
    used = set(re.findall(r"\$\{?\w+\}?", json.dumps(DASHBOARD["panels"])))
    assert used == VARIABLES
