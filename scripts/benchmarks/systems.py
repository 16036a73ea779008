"""The systems that are measured: ours and its peers, each with its best documented settings.

A system is a value: what to install, what to run, how it is asked and how its answer is read.
Where a framework's documents say a process a core, it gets that; where they leave the choice, what
was quickest on 4 cores was taken.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.reference import KERAS_FILE, ONNX_FILE

HERE = Path(__file__).parent
PEERS = HERE / "peers"
ROOT = HERE.parent.parent
OURS = "stackserve"

CORES = str(os.cpu_count() or 1)

Row = dict[str, float]


@dataclass(frozen=True)
class Place:
    """Where a system runs in this round."""

    port: int
    venv: Path
    model: Path
    scratch: Path
    broker_url: str

    def bin(self, name: str) -> str:
        return str(self.venv / "bin" / name)

    @property
    def onnx(self) -> str:
        return str(self.model / ONNX_FILE)

    @property
    def keras(self) -> str:
        return str(self.model / KERAS_FILE)


@dataclass(frozen=True, eq=False)
class System:
    """One way to serve the model."""

    name: str
    peer: str
    """The name under which its better setting counts."""
    requirements: Path
    commands: Callable[[Place], list[list[str]]]
    folder: Path
    environment: Callable[[Place], dict[str, str]] = lambda place: {"BENCH_ONNX": place.onnx}
    path: str = "/predict"
    path_many: str = ""
    body: Callable[[list[Row]], Any] = lambda rows: {"rows": rows}
    body_one: Callable[[Row], Any] | None = None
    read: Callable[[Any], list[float]] = lambda answer: list(answer["probability"])
    prepare: Callable[[Place], list[str]] | None = None
    """A command to run once before the first start."""
    extra: dict[str, str] = field(default_factory=dict)

    def route(self, rows: int) -> str:
        return self.path if rows == 1 else self.path_many or self.path

    def ask(self, rows: list[Row]) -> bytes:
        one = len(rows) == 1 and self.body_one
        return json.dumps(one(rows[0]) if one else self.body(rows)).encode()

    def env(self, place: Place) -> dict[str, str]:
        path = f"{place.venv / 'bin'}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "VIRTUAL_ENV": str(place.venv), "BENCH_PORT": str(place.port)}
        return {**own, **self.environment(place), **self.extra}


def _peer(
    name: str, commands: Callable[[Place], list[list[str]]], *, peer: str = "", **more: Any
) -> System:
    """A system whose program and requirements lie in a folder of its peer's name."""
    folder = PEERS / (peer or name)
    return System(
        name=name,
        peer=peer or name,
        folder=folder,
        requirements=folder / "requirements.txt",
        commands=commands,
        **more,
    )


def as_it_is(rows: Any) -> Any:
    return rows


def _probabilities(predictions: list[dict[str, float]]) -> list[float]:
    return [one["probability"] for one in predictions]


ours = System(
    name=OURS,
    peer=OURS,
    requirements=ROOT / "production_server" / "requirements.txt",
    folder=ROOT,
    commands=lambda place: [
        [
            place.bin("python"),
            "-m",
            "production_server",
            "serve",
            "--services",
            "--port",
            str(place.port),
        ]
    ],
    environment=lambda place: {"STACKSERVE_HOME": str(place.scratch / "home")},
    body=as_it_is,
    body_one=as_it_is,
    read=lambda answer: _probabilities(answer["predictions"]),
)

tutorial = _peer(
    "tutorial",
    lambda place: [
        [
            place.bin("celery"),
            "-A",
            "tasks",
            "worker",
            "--concurrency",
            "4",
            "--loglevel",
            "WARNING",
        ],
        [
            place.bin("gunicorn"),
            "server:app",
            "--workers",
            "4",
            "--log-level",
            "warning",
            "--bind",
            f"127.0.0.1:{place.port}",
        ],
    ],
    environment=lambda place: {
        "BENCH_KERAS": place.keras,
        "BENCH_BROKER_URL": place.broker_url,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    },
    body=as_it_is,
)

fastapi_onnx = _peer(
    "fastapi_onnx",
    lambda place: [
        [
            place.bin("uvicorn"),
            "app:app",
            "--workers",
            CORES,
            "--port",
            str(place.port),
            "--loop",
            "uvloop",
            "--http",
            "httptools",
            "--no-access-log",
            "--log-level",
            "warning",
        ]
    ],
    path_many="/predict_many",
    body=as_it_is,
    body_one=as_it_is,
    read=lambda answer: _probabilities(answer if isinstance(answer, list) else [answer]),
)


def _litserve(name: str, batch: str, workers: str) -> System:
    return _peer(
        name,
        lambda place: [[place.bin("python"), "server.py"]],
        peer="litserve",
        extra={"BENCH_SERVERS": CORES, "BENCH_BATCH": batch, "BENCH_WORKERS": workers},
    )


litserve = _litserve("litserve", batch="1", workers=CORES)
litserve_batching = _litserve("litserve_batching", batch="64", workers="1")

bentoml = _peer(
    "bentoml",
    lambda place: [
        [
            place.bin("bentoml"),
            "serve",
            "service:Model",
            "--host",
            "127.0.0.1",
            "--port",
            str(place.port),
            "--quiet",
        ]
    ],
    read=list,
    extra={"BENCH_WORKERS": CORES, "BENTOML_DO_NOT_TRACK": "True"},
)

mlflow = _peer(
    "mlflow",
    lambda place: [
        [
            place.bin("mlflow"),
            "models",
            "serve",
            "--env-manager",
            "local",
            "--workers",
            CORES,
            "--port",
            str(place.port),
            "--model-uri",
            str(place.scratch / "mlflow_model"),
        ]
    ],
    prepare=lambda place: [
        place.bin("python"),
        "save.py",
        place.onnx,
        str(place.scratch / "mlflow_model"),
    ],
    path="/invocations",
    # Tensors, not data frames: quicker, and what the ONNX model takes.
    body=lambda rows: {"inputs": [list(row.values()) for row in rows]},
    read=lambda answer: (
        [row[0] for row in next(iter(answer["predictions"].values()))]
        if isinstance(answer["predictions"], dict)
        else [row[0] for row in answer["predictions"]]
    ),
    extra={"MLFLOW_DISABLE_TELEMETRY": "true"},
)

ray_serve = _peer(
    "ray_serve",
    lambda place: [[place.bin("python"), "run.py"]],
    path="/",
    extra={
        # With 2 replicas both ends of the scale were slower here.
        "BENCH_WORKERS": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    },
)

ALL = [ours, fastapi_onnx, litserve, litserve_batching, bentoml, mlflow, ray_serve, tutorial]
QUICK = [ours, fastapi_onnx, litserve_batching]
PEER_NAMES = ["tutorial", "fastapi_onnx", "litserve", "bentoml", "mlflow", "ray_serve"]
