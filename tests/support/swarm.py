"""The service on a Docker swarm of one node, and requests to it."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from container_engine import DOCKER, Engine

from production_server.containers import make_secrets
from tests.support.images import Images
from tests.support.service import ROOT

STACK = "stack"
FILE = ROOT / "production_server" / "stack.yml"
LOAD = Path(__file__).with_name("steady_load.py")
SERVICES = ("web", "worker", "recorder")
# The published port needs IPVS, which not every kernel has. The names of the tasks do not.
PLACE = "tasks.web:5100"
# On two busy cores.
PATIENCE = 240


def wait_for(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(1)


class Load:
    """Requests at a steady rate, from a container in the network of the web tier."""

    def __init__(self, engine: Engine, image: str, rate: float, seconds: float) -> None:
        options = ["--rm", "--interactive", f"--network={STACK}_outside", "--entrypoint=python"]
        script = [image, "-", PLACE, str(rate), str(seconds)]
        with LOAD.open() as program:
            self._process = subprocess.Popen(
                [*engine.inside(), DOCKER, "run", *options, *script],
                env=engine.environment,
                stdin=program,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

    def outcomes(self) -> list[dict[str, Any]]:
        """All answers and failures, at the end of the load."""
        output, errors = self._process.communicate(timeout=300)
        assert self._process.returncode == 0, errors
        return [json.loads(line) for line in output.splitlines()]

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


class Swarm:
    """A swarm with the secrets of the service, and its stack."""

    def __init__(self, images: Images, folder: Path) -> None:
        self.engine = images.engine
        self.image = images.image
        self._broker = images.broker
        # What only the tests need: the network is there for their requests.
        self._more = folder / "more.yml"
        self._secrets = folder / "secrets"
        self._secrets.mkdir()

    def start(self) -> None:
        self.engine.docker("swarm", "init", "--advertise-addr=127.0.0.1")
        node = self.engine.docker("node", "ls", "--quiet").strip()
        self.engine.docker("node", "update", "--label-add=stackserve=here", node)
        make_secrets.main(self._secrets)
        for path in sorted(self._secrets.iterdir()):
            self.engine.docker("secret", "create", path.name, str(path))

    def stop(self) -> None:
        self.engine.docker("swarm", "leave", "--force")
        for name in self.volumes():
            wait_for(lambda name=name: self._removed(name), f"{name} is still used")  # type: ignore[misc]

    def _removed(self, volume: str) -> bool:
        done = subprocess.run(
            [*self.engine.inside(), DOCKER, "volume", "rm", volume],
            env=self.engine.environment,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def deploy(self, image: str, *, replicas: int = 3, argument: str = "") -> None:
        """Deploy the stack with this image, or update it; `argument` goes to the web tier."""
        scaled = {"deploy": {"replicas": replicas}}
        # `docker stack` adds this to the command in the first file.
        more_words = {"command": [argument]} if argument else {}
        more = {
            "version": "3.9",
            "networks": {"outside": {"attachable": True}},
            "services": {"web": {**scaled, **more_words}, "worker": scaled},
        }
        self._more.write_text(json.dumps(more))
        files = [f"--compose-file={FILE}", f"--compose-file={self._more}"]
        self.engine.run(
            [DOCKER, "stack", "deploy", *files, STACK],
            more={"STACKSERVE_IMAGE": image, "STACKSERVE_BROKER_IMAGE": self._broker},
        )

    def remove(self) -> None:
        self.engine.docker("stack", "rm", STACK)
        wait_for(lambda: not self.left(), "the stack leaves something")

    def left(self) -> list[str]:
        """What there is of the stack, apart from its volumes."""
        label = f"--filter=label=com.docker.stack.namespace={STACK}"
        kinds = (("service", "ls"), ("network", "ls"), ("config", "ls"), ("ps", "--all"))
        return [
            line
            for kind in kinds
            for line in self.engine.docker(*kind, "--quiet", label).splitlines()
        ]

    def volumes(self) -> set[str]:
        names = self.engine.docker("volume", "ls", "--quiet", f"--filter=name={STACK}_")
        return set(names.split())

    def containers(self, service: str) -> set[str]:
        name = f"--filter=name={STACK}_{service}."
        return set(self.engine.docker("ps", "--quiet", name, "--filter=health=healthy").split())

    def replicas(self) -> dict[str, str]:
        lines = self.engine.docker("service", "ls", "--format={{.Name}} {{.Replicas}}")
        return dict(line.removeprefix(f"{STACK}_").split() for line in lines.splitlines())

    def wait_until_complete(self) -> None:
        def complete() -> bool:
            return all(a == b for a, b in (n.split("/") for n in self.replicas().values()))

        wait_for(complete, f"services do not start: {self.replicas()}")
        wait_for(lambda: not failures(self.load(1, 2)), "the service does not answer")

    def updates(self) -> dict[str, str]:
        """How far the last update of each service is."""
        return {
            name: (self.engine.inspect(f"{STACK}_{name}").get("UpdateStatus") or {}).get(
                "State", ""
            )
            for name in SERVICES
        }

    def wait_until_updated(self, *ends: str) -> None:
        wait_for(lambda: set(self.updates().values()) <= set(ends), f"no end of the update: {ends}")

    def load(self, rate: float, seconds: float) -> list[dict[str, Any]]:
        return Load(self.engine, self.image, rate, seconds).outcomes()

    @contextmanager
    def under_load(self, rate: float, seconds: float) -> Iterator[list[dict[str, Any]]]:
        """The block runs meanwhile. Its end waits for the load's, which fills the list."""
        outcomes: list[dict[str, Any]] = []
        load = Load(self.engine, self.image, rate, seconds)
        try:
            yield outcomes
            outcomes += load.outcomes()
        finally:
            load.stop()


def failures(outcomes: list[dict[str, Any]]) -> list[str]:
    return [f"{one['at']:.1f}: {one['failure']}" for one in outcomes if "failure" in one]


def answered(outcomes: list[dict[str, Any]]) -> Counter[tuple[str, float]]:
    """How often each version has answered with which probability."""
    return Counter(
        (one["version"], round(one["probability"], 4)) for one in outcomes if "version" in one
    )
