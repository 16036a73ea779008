"""What passes over the network while a server is deployed: no code, no model and no secret.

With TLS, no value and no prediction either; and what TLS shows to those who know its authority.
"""

from __future__ import annotations

import json
import re
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
VALUE = "148.73519"
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
    """Parts of it that are found nowhere else: zeros are everywhere."""
    step = max(CHUNK, len(content) // count)
    found = [content[at : at + CHUNK] for at in range(0, len(content) - CHUNK, step)]
    return [chunk for chunk in found if len(set(chunk)) > CHUNK // 4]


@dataclass
class Seen:
    """A deploy, and what its server sent and received meanwhile."""

    user: LabUser
    server: Server
    payload: bytes
    model: Path
    token: str
    connections: list[bytes]
    answer: dict[str, Any]
    """That of a prediction with the token."""
    tls: bool

    def has(self, text: bytes) -> bool:
        return any(text in connection for connection in self.connections)


@pytest.fixture(scope="module", params=["http", "https"])
def seen(
    request: pytest.FixtureRequest, real_lab: LabCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    folder, tls = tmp_path_factory.mktemp("seen"), request.param == "https"
    authority = folder / "authority.pem"
    with_tls = ("--tls", "self", "--tls-out", str(authority)) if tls else ()
    user, model = LabUser(real_lab, folder / "home"), private_model(folder)
    capture = Capture(real_lab.layout, folder / "frames")
    try:
        limit = ("--timeout-ready", str(DEPLOY_SECONDS))
        server = Server(user.events("deploy", NAME, "--model", str(model), *limit, *with_tls))
        created = user.run("tokens", "create", NAME, "ci", "--json")
        assert created.code == 0, created.errors
        origin = server.event("result")["url"].removesuffix("/predictions")
        in_clear = f"http://{httpx.URL(origin).host}:5100/ping"
        assert httpx.get(in_clear, headers={"X-Marked": "in-clear"}).status_code < 400
        token = str(json.loads(created.output)["token"])
        answer = predict(origin, token, authority if tls else None)
        assert capture.stop() == 0, "frames were lost"
        address = fixed_address(user)
        made = make.parcel(Settings(name=NAME, model=model))
        assert isinstance(made, Parcel)
        connections = streams(capture.file, address)
        yield Seen(user, server, made.payload, model, token, connections, answer, tls)
    finally:
        capture.stop()
        user.run("delete", NAME, "--yes", "--take-over")


def predict(origin: str, token: str, authority: Path | None) -> dict[str, Any]:
    """Send a row with a value that is found nowhere else."""
    context = ssl.create_default_context(cafile=authority) if authority else True
    row = {"glucose": VALUE, "pregnancies": "6", "blood_pressure": "72", "skin_thickness": "35"}
    row |= {"insulin": "0", "bmi": "33.6", "diabetes_pedigree": "0.627", "age": "50"}
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    found: dict[str, Any] = httpx.get(
        f"{origin}/predict", params=row, headers=headers, verify=context, timeout=60
    ).json()
    return found


def fixed_address(user: LabUser) -> str:
    shown = user.cloud.rows("server", "show", f"stackserve-{NAME}")["addresses"]
    inside = [address for found in shown.values() for address in found]
    floating = {row["Floating IP Address"] for row in user.cloud.rows("floating", "ip", "list")}
    (address,) = [one for one in inside if one not in floating and re.fullmatch(r"[\d.]+", one)]
    return str(address)


def test_the_capture_is_in_the_right_place(seen: Seen) -> None:
    """HTTP on port 5100 passes in clear, and so do the first words of ssh."""
    assert seen.has(b"X-Marked: in-clear")
    assert seen.has(b"308 Permanent Redirect" if seen.tls else b"pong\n")
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
    # Without TLS, a token is as readable as what it is sent with.
    for secret in (password, *([seen.token] if seen.tls else [])):
        assert len(secret) > 20
        assert not seen.has(secret.encode())


def test_values_and_predictions_are_seen_only_without_tls(seen: Seen) -> None:
    assert 0 <= seen.answer["predictions"][0]["probability"] <= 1
    for text in (VALUE, '"probability":', "Authorization: Bearer"):
        assert seen.has(text.encode()) is not seen.tls, text


def test_a_client_that_does_not_know_the_authority_refuses(seen: Seen) -> None:
    if not seen.tls:
        pytest.skip("there is no TLS")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(seen.server.event("result")["url"])


def test_another_authority_on_the_console_ends_the_deploy(seen: Seen) -> None:
    """As if somebody stood between, who cannot change what the console says."""
    if not seen.tls:
        pytest.skip("there is no TLS")
    seen.server.ssh(f"echo 'STACKSERVE-AUTHORITY sha256={'0' * 64}' | sudo tee /dev/console")
    again = seen.user.run("deploy", NAME)
    assert again.code == 6, again.errors
    assert "shows a certificate authority with the fingerprint" in again.errors
