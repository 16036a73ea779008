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


def _requirements(name: str) -> Path:
    return PEERS / name / "requirements.txt"


def _probabilities(answer: Any) -> list[float]:
    return [one["probability"] for one in answer["predictions"]]


def _as_list(answer: Any) -> list[float]:
    return [one["probability"] for one in (answer if isinstance(answer, list) else [answer])]


ours = System(
    name=OURS,
    peer=OURS,
    requirements=ROOT / "production_server" / "requirements.txt",
    folder=ROOT,
    commands=lambda place: [
        [place.bin("python"), "-m", "production_server", "serve", "--services",
         "--port", str(place.port)]
    ],
    environment=lambda place: {"STACKSERVE_HOME": str(place.scratch / "home")},
    body=lambda rows: rows,
    body_one=lambda row: row,
    read=_probabilities,
)  # fmt: skip

tutorial = System(
    name="tutorial",
    peer="tutorial",
    requirements=_requirements("tutorial"),
    folder=PEERS / "tutorial",
    commands=lambda place: [
        [place.bin("celery"), "-A", "tasks", "worker", "--concurrency", "4",
         "--loglevel", "WARNING"],
        [place.bin("gunicorn"), "server:app", "--workers", "4", "--log-level", "warning",
         "--bind", f"127.0.0.1:{place.port}"],
    ],
    environment=lambda place: {
        "BENCH_KERAS": place.keras,
        "BENCH_BROKER_URL": place.broker_url,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    },
    body=lambda rows: rows,
)  # fmt: skip

fastapi_onnx = System(
    name="fastapi_onnx",
    peer="fastapi_onnx",
    requirements=_requirements("fastapi_onnx"),
    folder=PEERS / "fastapi_onnx",
    commands=lambda place: [
        [place.bin("uvicorn"), "app:app", "--workers", CORES, "--port", str(place.port),
         "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    ],
    path_many="/predict_many",
    body=lambda rows: rows,
    body_one=lambda row: row,
    read=_as_list,
)  # fmt: skip


def _litserve(name: str, **settings: str) -> System:
    return System(
        name=name,
        peer="litserve",
        requirements=_requirements("litserve"),
        folder=PEERS / "litserve",
        commands=lambda place: [[place.bin("python"), "server.py"]],
        extra={"BENCH_SERVERS": CORES, **settings},
    )


litserve = _litserve("litserve", BENCH_BATCH="1", BENCH_WORKERS=CORES)
litserve_batching = _litserve("litserve_batching", BENCH_BATCH="64", BENCH_WORKERS="1")

bentoml = System(
    name="bentoml",
    peer="bentoml",
    requirements=_requirements("bentoml"),
    folder=PEERS / "bentoml",
    commands=lambda place: [
        [place.bin("bentoml"), "serve", "service:Model", "--host", "127.0.0.1",
         "--port", str(place.port), "--quiet"]
    ],
    read=list,
    extra={"BENCH_WORKERS": CORES, "BENTOML_DO_NOT_TRACK": "True"},
)  # fmt: skip

mlflow = System(
    name="mlflow",
    peer="mlflow",
    requirements=_requirements("mlflow"),
    folder=PEERS / "mlflow",
    prepare=lambda place: [
        place.bin("python"), "save.py", place.onnx, str(place.scratch / "mlflow_model")
    ],
    commands=lambda place: [
        [place.bin("mlflow"), "models", "serve", "--env-manager", "local", "--workers", CORES,
         "--port", str(place.port), "--model-uri", str(place.scratch / "mlflow_model")]
    ],
    path="/invocations",
    # Tensors, not data frames: quicker, and what the ONNX model takes.
    body=lambda rows: {"inputs": [list(row.values()) for row in rows]},
    read=lambda answer: [row[0] for row in next(iter(answer["predictions"].values()))]
    if isinstance(answer["predictions"], dict)
    else [row[0] for row in answer["predictions"]],
    extra={"MLFLOW_DISABLE_TELEMETRY": "true"},
)  # fmt: skip

ray_serve = System(
    name="ray_serve",
    peer="ray_serve",
    requirements=_requirements("ray_serve"),
    folder=PEERS / "ray_serve",
    commands=lambda place: [[place.bin("python"), "run.py"]],
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
