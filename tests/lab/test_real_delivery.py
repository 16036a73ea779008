"""What passes over the network while a server is deployed: no code, no model and no secret."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from openstack_client.plan import make
from openstack_client.plan.model import Parcel
from openstack_client.settings import Settings
from tests.support.capture import Capture, streams
from tests.support.cloud import ROOT, LabCloud
from tests.support.lab_user import DEPLOY_SECONDS, LabUser, Server

pytestmark = [pytest.mark.long, pytest.mark.timeout(DEPLOY_SECONDS + 1000)]

NAME = "seen"
SHIPPED = ROOT / "production_server" / "shipped"
# Long enough to be found nowhere else.
LINE = 60
CHUNK = 48
PASSWORD = "sed -n 's#.*amqp://[^:]*:\\([^@]*\\)@.*#\\1#p' /etc/stackserve/server.env"


def private_model(folder: Path) -> Path:
    """A model that no image holds, so that it must be sent."""
    shipped = next(path.parent for path in SHIPPED.glob("*/card.json"))
    own = folder / "diabetes-7"
    shutil.copytree(shipped, own)
    card = own / "card.json"
    card.write_text(card.read_text().replace(shipped.name, own.name))
    return own


def lines_of_code() -> list[bytes]:
    """A line of each module that is sent."""
    found = []
    for path in sorted((ROOT / "production_server").rglob("*.py")):
        longest = max(path.read_bytes().splitlines(), key=len, default=b"")
        if len(longest) >= LINE:
            found.append(longest.strip())
    return found


def chunks(content: bytes, count: int = 200) -> list[bytes]:
    step = max(CHUNK, len(content) // count)
    return [content[at : at + CHUNK] for at in range(0, len(content) - CHUNK, step)]


@dataclass
class Seen:
    """A deploy, and what its server sent and received meanwhile."""

    server: Server
    payload: bytes
    model: Path
    token: str
    connections: list[bytes]

    def has(self, text: bytes) -> bool:
        return any(text in connection for connection in self.connections)


@pytest.fixture(scope="module")
def seen(real_lab: LabCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("seen")
    user, model = LabUser(real_lab, folder / "home"), private_model(folder)
    capture = Capture(real_lab.layout, folder / "frames")
    try:
        limit = ("--timeout-ready", str(DEPLOY_SECONDS))
        server = Server(user.events("deploy", NAME, "--model", str(model), *limit))
        created = user.run("tokens", "create", NAME, "ci", "--json")
        assert created.code == 0, created.errors
        origin = server.event("result")["url"].removesuffix("/predictions")
        assert httpx.get(f"{origin}/ping", headers={"X-Marked": "in-clear"}).text == "pong\n"
        assert capture.stop() == 0, "frames were lost"
        address = fixed_address(user)
        made = make.parcel(Settings(name=NAME, model=model))
        assert isinstance(made, Parcel)
        token = str(json.loads(created.output)["token"])
        yield Seen(server, made.payload, model, token, streams(capture.file, address))
    finally:
        capture.stop()
        user.run("delete", NAME, "--yes", "--take-over")


def fixed_address(user: LabUser) -> str:
    shown = user.cloud.rows("server", "show", f"stackserve-{NAME}")["addresses"]
    inside = [address for found in shown.values() for address in found]
    floating = {row["Floating IP Address"] for row in user.cloud.rows("floating", "ip", "list")}
    (address,) = [one for one in inside if one not in floating and re.fullmatch(r"[\d.]+", one)]
    return str(address)


def test_the_capture_is_in_the_right_place(seen: Seen) -> None:
    """HTTP passes in clear, and so do the first words of ssh."""
    assert seen.has(b"X-Marked: in-clear") and seen.has(b"pong\n")
    assert seen.has(b"SSH-2.0-")
    notes = [event["text"] for event in seen.server.events if event["event"] == "note"]
    assert "Code delivered." in notes
    sent = [len(one) for one in seen.connections if b"SSH-2.0-" in one[:20]]
    assert max(sent) > len(seen.payload), "the delivery itself was not seen"


def test_no_code_is_seen(seen: Seen) -> None:
    lines = lines_of_code()
    assert len(lines) > 50
    assert [line for line in lines if seen.has(line)] == []
    assert [chunk for chunk in chunks(seen.payload) if seen.has(chunk)] == []


def test_no_model_is_seen(seen: Seen) -> None:
    """Its card is on the pages, for everybody who may predict."""
    parts = chunks((seen.model / "model.keras").read_bytes())
    assert len(parts) > 50
    assert [part for part in parts if seen.has(part)] == []


def test_no_secret_is_seen(seen: Seen) -> None:
    password = seen.server.ssh(PASSWORD)
    for secret in (seen.token, password):
        assert len(secret) > 20
        assert not seen.has(secret.encode())
