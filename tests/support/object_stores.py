"""A real Swift and a real S3 store, SeaweedFS, each in a folder, for the tests of `models`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import botocore.session

from production_server.local.rabbitmq import free_port
from tests.support.service import ROOT

LOCK = ROOT / "tests" / "stores.requirements.txt"
SWIFT = ROOT / "tests" / "support" / "swift_server.py"
USER, KEY = "teacher", "secret-of-the-teacher"
CONTAINER = "models"
SECONDS = 40


@dataclass(frozen=True)
class Running:
    """A store's kind, its address, and the variables with its credentials."""

    kind: str
    url: str
    variables: dict[str, str]


def install(folder: Path) -> str:
    """Install both in an environment of its own; returns why that failed, or nothing."""
    uv = str(Path(sys.prefix) / "bin" / "uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    done = subprocess.run(
        [
            *[uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")],
            *["--require-hashes", "--requirements", str(LOCK)],
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    return done.stderr[-500:] if done.returncode else ""


@contextmanager
def swift(programs: Path, folder: Path) -> Iterator[Running]:
    """Swift, with the container `models`."""
    port = free_port()
    command = [str(programs / "python"), "-W", "ignore", str(SWIFT), str(folder / "swift")]
    with _process([*command, str(port), USER, KEY, CONTAINER], folder / "swift.log"):
        url = f"http://127.0.0.1:{port}/v3"
        _wait(url)
        domains = {"OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default"}
        login = {"OS_AUTH_URL": url, "OS_USERNAME": USER, "OS_PASSWORD": KEY}
        more = {"OS_PROJECT_NAME": "demo", "OS_REGION_NAME": "R"}
        yield Running("swift", url, login | domains | more)


@contextmanager
def s3(programs: Path, folder: Path) -> Iterator[Running]:
    """SeaweedFS, with the bucket `models`."""
    port, data = free_port(), folder / "seaweedfs"
    data.mkdir()
    secret = {"accessKey": USER, "secretKey": KEY}
    identity = {"name": USER, "credentials": [secret], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = [
        f"-{part}={free_port()}"
        for name in ("master", "volume", "filer")
        for part in (f"{name}.port", f"{name}.port.grpc")
    ]
    command = [str(programs / "weed"), "server", f"-dir={data}", "-ip=127.0.0.1", "-s3", *ports]
    command += [f"-s3.port={port}", f"-s3.port.grpc={free_port()}", "-s3.port.iceberg=0"]
    command += ["-s3.port.lance=0", "-master.telemetry=false"]
    command += [f"-s3.config={folder / 's3.json'}", "-master.volumeSizeLimitMB=64"]
    with _process([*command, "-volume.max=9"], folder / "s3.log"):
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/healthz")
        client = botocore.session.get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id=USER,
            aws_secret_access_key=KEY,
        )
        client.create_bucket(Bucket=CONTAINER)
        yield Running("s3", url, {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": KEY})


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _wait(url: str) -> None:
    until = time.monotonic() + SECONDS
    while True:
        try:
            urlopen(url, timeout=5).close()
            return
        except (URLError, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
