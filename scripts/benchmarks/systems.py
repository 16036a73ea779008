"""The systems to measure: Stackserve and its peers, each with its best documented settings.

A system is a value: what to install, what to run, how to send rows and how to read the response.
Systems run one process per core where their documentation says so. Where it leaves the choice open,
they use the setting that was fastest on 4 cores.
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
class RunContext:
    """The port, paths and broker of one run of a system."""

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
    """The peer that the system is a setting of; only the faster setting counts."""
    requirements: Path
    commands: Callable[[RunContext], list[list[str]]]
    folder: Path
    environment: Callable[[RunContext], dict[str, str]] = lambda context: {
        "BENCH_ONNX": context.onnx
    }
    path: str = "/predict"
    path_many: str = ""
    body: Callable[[list[Row]], Any] = lambda rows: {"rows": rows}
    body_one: Callable[[Row], Any] | None = None
    read: Callable[[Any], list[float]] = lambda response: list(response["probability"])
    prepare: Callable[[RunContext], list[str]] | None = None
    """A command to run once, before the first start."""
    extra: dict[str, str] = field(default_factory=dict)
    token: str = field(default="", repr=False)
    """What clients send in the Authorization header."""

    scheme: str = "http"
    host: str = "127.0.0.1"

    def url(self, port: int, rows: int) -> str:
        path = self.path if rows == 1 else self.path_many or self.path
        return f"{self.scheme}://{self.host}:{port}{path}"

    def request_body(self, rows: list[Row]) -> bytes:
        one = len(rows) == 1 and self.body_one
        return json.dumps(one(rows[0]) if one else self.body(rows)).encode()

    def env(self, context: RunContext) -> dict[str, str]:
        path = f"{context.venv / 'bin'}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "VIRTUAL_ENV": str(context.venv), "BENCH_PORT": str(context.port)}
        return {**own, **self.environment(context), **self.extra}


def _peer(
    name: str, commands: Callable[[RunContext], list[list[str]]], *, peer: str = "", **more: Any
) -> System:
    """A system whose program and requirements are in peers/PEER/."""
    folder = PEERS / (peer or name)
    return System(
        name=name,
        peer=peer or name,
        folder=folder,
        requirements=folder / "requirements.txt",
        commands=commands,
        **more,
    )


def unchanged(rows: Any) -> Any:
    return rows


def _probabilities(predictions: list[dict[str, float]]) -> list[float]:
    return [prediction["probability"] for prediction in predictions]


ours = System(
    name=OURS,
    peer=OURS,
    requirements=ROOT / "production_server" / "requirements.txt",
    folder=ROOT,
    commands=lambda context: [
        [
            context.bin("python"),
            "-m",
            "production_server",
            "serve",
            "--services",
            "--port",
            str(context.port),
        ]
    ],
    environment=lambda context: {"STACKSERVE_HOME": str(context.scratch / "home")},
    body=unchanged,
    body_one=unchanged,
    read=lambda response: _probabilities(response["predictions"]),
)

tutorial = _peer(
    "tutorial",
    lambda context: [
        [
            context.bin("celery"),
            "-A",
            "tasks",
            "worker",
            "--concurrency",
            "4",
            "--loglevel",
            "WARNING",
        ],
        [
            context.bin("gunicorn"),
            "server:app",
            "--workers",
            "4",
            "--log-level",
            "warning",
            "--bind",
            f"127.0.0.1:{context.port}",
        ],
    ],
    environment=lambda context: {
        "BENCH_KERAS": context.keras,
        "BENCH_BROKER_URL": context.broker_url,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    },
    body=unchanged,
)

fastapi_onnx = _peer(
    "fastapi_onnx",
    lambda context: [
        [
            context.bin("uvicorn"),
            "app:app",
            "--workers",
            CORES,
            "--port",
            str(context.port),
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
    body=unchanged,
    body_one=unchanged,
    read=lambda response: _probabilities(response if isinstance(response, list) else [response]),
)


def _litserve(name: str, batch: str, workers: str) -> System:
    return _peer(
        name,
        lambda context: [[context.bin("python"), "server.py"]],
        peer="litserve",
        extra={"BENCH_SERVERS": CORES, "BENCH_BATCH": batch, "BENCH_WORKERS": workers},
    )


litserve = _litserve("litserve", batch="1", workers=CORES)
litserve_batching = _litserve("litserve_batching", batch="64", workers="1")

bentoml = _peer(
    "bentoml",
    lambda context: [
        [
            context.bin("bentoml"),
            "serve",
            "service:Model",
            "--host",
            "127.0.0.1",
            "--port",
            str(context.port),
            "--quiet",
        ]
    ],
    read=list,
    extra={"BENCH_WORKERS": CORES, "BENTOML_DO_NOT_TRACK": "True"},
)

mlflow = _peer(
    "mlflow",
    lambda context: [
        [
            context.bin("mlflow"),
            "models",
            "serve",
            "--env-manager",
            "local",
            "--workers",
            CORES,
            "--port",
            str(context.port),
            "--model-uri",
            str(context.scratch / "mlflow_model"),
        ]
    ],
    prepare=lambda context: [
        context.bin("python"),
        "save.py",
        context.onnx,
        str(context.scratch / "mlflow_model"),
    ],
    path="/invocations",
    # Tensors instead of data frames: they are faster, and the ONNX model takes them.
    body=lambda rows: {"inputs": [list(row.values()) for row in rows]},
    read=lambda response: (
        [row[0] for row in next(iter(response["predictions"].values()))]
        if isinstance(response["predictions"], dict)
        else [row[0] for row in response["predictions"]]
    ),
    extra={"MLFLOW_DISABLE_TELEMETRY": "true"},
)

ray_serve = _peer(
    "ray_serve",
    lambda context: [[context.bin("python"), "run.py"]],
    path="/",
    extra={
        # 2 replicas were slower at both ends of the scale.
        "BENCH_WORKERS": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    },
)

ALL = [ours, fastapi_onnx, litserve, litserve_batching, bentoml, mlflow, ray_serve, tutorial]
QUICK = [ours, fastapi_onnx, litserve_batching]
PEER_NAMES = ["tutorial", "fastapi_onnx", "litserve", "bentoml", "mlflow", "ray_serve"]
