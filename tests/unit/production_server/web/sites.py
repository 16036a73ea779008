"""The whole application behind its access, with a queue and a registry that answer at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry

from production_server.access.policy import Preset, Scope
from production_server.jobs.records import Outcome
from production_server.jobs.store import Store
from production_server.live.inputs import Inputs
from production_server.settings import Settings
from production_server.trainer.runs import Kind, Request, Run, Runs
from production_server.web.access import CLIENT
from production_server.web.app import create_flask
from production_server.web.current_model import Pinned
from production_server.web.events import EVENTS
from production_server.web.front import Front
from production_server.web.metrics import Metrics
from production_server.web.request_log import RequestLog
from production_server.web.rows import RowSchema
from tests.unit.production_server.web.callers import bearer, make_access
from tests.unit.production_server.web.cards import BINARY, Queue
from tests.unit.production_server.web.fronts import Exchange, Lane

CSV = "text/csv"
# A version that is not active.
OTHER = "diabetes-9"
ROWS = ",".join(BINARY.feature_names) + "\n" + ",".join(str(f.default) for f in BINARY.features)
# Callers of the table, and the scopes of their tokens. The first two have none; the second one has
# the cookie of a client that created a job of its own.
CALLERS: dict[str, tuple[Scope, ...]] = {
    "anonymous": (),
    "another client": (),
    "predict": (Scope.PREDICT,),
    "jobs": (Scope.JOBS,),
    "models": (Scope.MODELS,),
    "operate": (Scope.OPERATE,),
    "owner": (Scope.JOBS,),
}


class Site:
    """The whole application, with a queue and a registry that answer at once."""

    def __init__(self, preset: Preset, folder: Path, **settings: Any) -> None:
        self.access = make_access(preset, folder / "access")
        self.store = Store(f"sqlite:///{folder / 'jobs.sqlite3'}")
        queue = Queue(BINARY, lambda row: [0.25])
        services: Any = SimpleNamespace(
            settings=Settings(home=folder, access=preset, **settings),
            requests=RequestLog(Settings(**settings).request_log),
            access=self.access,
            store=self.store,
            started=0.0,
            metrics=Metrics(None, CollectorRegistry()),
            inputs=Inputs(lambda: BINARY, lambda *_: None),
            lane=SimpleNamespace(connected=False, alarm="", submit=Lane().submit, deadline=5.0),
            workers=SimpleNamespace(states=lambda _: []),
            pinned=Pinned(BINARY.version, BINARY, RowSchema(BINARY, 100)),
            card=lambda: BINARY,
            predict_now=queue.predict_now,
            start=lambda: None,
            stop=lambda: None,
            summary=lambda: {"model": BINARY.name, "version": BINARY.version},
            registry=SimpleNamespace(
                path=folder / "models",
                versions=lambda: [BINARY.version, OTHER],
                active=lambda: BINARY.version,
                card=lambda version: BINARY,
                activate=lambda version: None,
                delete=lambda version: None,
            ),
            runs=Runs(folder / "trainer"),
        )
        self.runs: Runs = services.runs
        self.flask: Flask = create_flask(services)
        self.front = Front(services, self.flask)
        self.tokens = {
            name: bearer(self.access, *scopes, name=name) if scopes else {}
            for name, scopes in CALLERS.items()
        }
        cookie = self.access.signing.client("another")
        self.tokens["another client"] = {"Cookie": f"{CLIENT}={cookie}"}

    def client(self) -> FlaskClient:
        return self.flask.test_client()

    def job(self, client: FlaskClient, headers: dict[str, str], state: str = "done") -> str:
        """The address of a new job of this caller."""
        made = client.post("/jobs", data=ROWS, content_type=CSV, headers=headers)
        assert made.status_code == 202, made.text
        job = made.get_json()["id"]
        if state == "done":
            self.store.record(job, 0, Outcome(outputs=b"\0\0\0\0"))
        return f"/jobs/{job}"

    def training(self) -> Run:
        """A new training that no trainer will carry out."""
        with self.runs.draft() as draft:
            return self.runs.submit(draft, Request(kind=Kind.TRAIN, created=0.0))

    def status(self, method: str, route: str, headers: dict[str, str], job: str) -> int:
        """The status of a request to a route, also to those that Flask does not see."""
        path = route.replace("/jobs/<job_id>", job).replace("<path:filename>", "style.css")
        path = path.replace("<version>", OTHER)
        if "<run_id>" in path:
            path = path.replace("<run_id>", self.training().id)
        if path in ("/predict", EVENTS):
            names = {name.lower().replace("-", "_"): value for name, value in headers.items()}
            exchange = Exchange(method, path, **names)
            exchange.send(self.front, b"{}")
            return exchange.status
        body = {"data": ROWS, "content_type": CSV} if route == "/jobs" and method == "POST" else {}
        return self.client().open(path, method=method, headers=headers, **body).status_code
