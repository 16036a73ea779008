#!/usr/bin/env python3
"""Delete the deployment that this server belongs to, once it has expired.

A timer runs this each minute, on servers with a time to live. The moment is in the server's own
metadata in Nova, so that extending it needs no login here. The credential may do what is done
below and nothing else. Each step may be repeated: the next run continues a removal that stopped.
Only the standard library is used.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import http.client
import json
import os
import ssl
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

EXPIRES_KEY = "stackserve_expires"
TIMEOUT = 20.0
# A security group is in use for a moment after its port has left it.
GROUP_TRIES = 10
GONE_SECONDS = 240.0
PAUSE = 1.0
CONFLICT = 409
GONE = 404


class FailedError(Exception):
    """A request failed; the next run repeats it."""


class Answer(NamedTuple):
    status: int
    content: dict[str, Any]
    headers: Any


class Cloud:
    """The APIs of the cloud, with the token of one login."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.context = ssl.create_default_context(cadata=config.get("ca"))
        if not config.get("verify", True):
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE
        self.token = ""

    def login(self) -> None:
        credential = {"id": self.config["id"], "secret": self.config["secret"]}
        identity = {"methods": ["application_credential"], "application_credential": credential}
        answer = self.send("POST", "identity", "/auth/tokens", {"auth": {"identity": identity}})
        self.token = answer.headers["X-Subject-Token"]

    def send(
        self, method: str, service: str, path: str, body: object = None, also: tuple[int, ...] = ()
    ) -> Answer:
        """Send a request and return its answer. Raises FailedError unless it is as expected."""
        connection = self.connect(service)
        try:
            self.begin(connection, method, service, path, body)
            return self.end(connection, f"{method} {path}", also)
        finally:
            connection.close()

    def connect(self, service: str) -> http.client.HTTPConnection:
        """An open connection, so that a request needs one packet."""
        url = urlsplit(self.config[service])
        kind: Any = http.client.HTTPConnection
        more: dict[str, Any] = {"timeout": TIMEOUT}
        if url.scheme == "https":
            kind, more["context"] = http.client.HTTPSConnection, self.context
        connection: http.client.HTTPConnection = kind(url.hostname, url.port, **more)
        try:
            connection.connect()
        except OSError as error:
            raise FailedError(f"Cannot connect to {url.netloc}: {error}") from error
        return connection

    def begin(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        service: str,
        path: str,
        body: object = None,
    ) -> None:
        headers = {"Accept": "application/json", "Connection": "close"}
        if self.token:
            headers["X-Auth-Token"] = self.token
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        try:
            connection.request(method, urlsplit(self.config[service]).path + path, data, headers)
        except (OSError, http.client.HTTPException) as error:
            raise FailedError(f"{method} {path}: {error}") from error

    def end(
        self, connection: http.client.HTTPConnection, doing: str, also: tuple[int, ...] = ()
    ) -> Answer:
        try:
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise FailedError(f"{doing}: {error}") from error
        if not (200 <= response.status < 300 or response.status in also):
            raise FailedError(f"{doing}: HTTP {response.status}")
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        return Answer(
            response.status, content if isinstance(content, dict) else {}, response.headers
        )


def expired(answer: Answer) -> bool:
    """Whether the server that Nova describes has expired, by the cloud's clock."""
    text = answer.content.get("server", {}).get("metadata", {}).get(EXPIRES_KEY, "")
    try:
        # Python before 3.11 does not read the Z.
        expires = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    now = dt.datetime.now(dt.timezone.utc)  # noqa: UP017, because Python 3.10 has no dt.UTC
    if answer.headers.get("Date"):
        now = email.utils.parsedate_to_datetime(answer.headers["Date"])
    return expires <= now


def mark(cloud: Cloud) -> None:
    """Mark what could be left behind, and move the port out of the security group.

    Neutron lets nobody delete a port whose owner is a server. Its project may change the owner.
    """
    for address in cloud.config["addresses"]:
        change = {"description": address["mark"]}
        path = f"/floatingips/{address['id']}"
        cloud.send("PUT", "network", path, {"floatingip": change}, (GONE,))
    for group in cloud.config["left"]:
        change = {"description": group["mark"]}
        path = f"/security-groups/{group['id']}"
        cloud.send("PUT", "network", path, {"security_group": change}, (GONE,))
    for port in cloud.config["ports"]:
        change = {"description": port["mark"], "device_owner": ""}
        if cloud.config["shelter"]:
            change["security_groups"] = [cloud.config["shelter"]]
        cloud.send("PUT", "network", f"/ports/{port['id']}", {"port": change}, (GONE,))


def delete_others(cloud: Cloud) -> None:
    """Delete the other servers, all at once, then their ports and server group."""
    for server in cloud.config["others"]:
        cloud.send("DELETE", "compute", f"/servers/{server}", None, (GONE,))
    until = time.monotonic() + GONE_SECONDS
    for server in cloud.config["others"]:
        path = f"/servers/{server}"
        while cloud.send("GET", "compute", path, None, (GONE,)).status != GONE:
            if time.monotonic() > until:
                raise FailedError(f"Server {server} is still there.")
            time.sleep(PAUSE)
    for port in cloud.config["other_ports"]:
        cloud.send("DELETE", "network", f"/ports/{port}", None, (GONE,))
    for group in cloud.config["server_groups"]:
        cloud.send("DELETE", "compute", f"/os-server-groups/{group}", None, (GONE,))


def delete_keypair(cloud: Cloud) -> None:
    for name in cloud.config["keypairs"]:
        cloud.send("DELETE", "compute", f"/os-keypairs/{name}", None, (GONE,))


def delete_groups(cloud: Cloud) -> None:
    for group in cloud.config["groups"]:
        path = f"/security-groups/{group}"
        for _ in range(GROUP_TRIES):
            if cloud.send("DELETE", "network", path, None, (GONE, CONFLICT)).status != CONFLICT:
                break
            time.sleep(PAUSE)
        else:
            raise FailedError(f"Security group {group} is still in use.")


def delete_self(cloud: Cloud) -> None:
    """Delete this server, its ports and floating IPs, in requests that leave at the same time.

    Each of them cuts this server off. So all connections are opened first, and no request waits
    for the answer to another. The server comes first: nothing else that is left costs much.
    """
    requests = [("compute", f"/servers/{cloud.config['server']}")]
    requests += [("network", f"/ports/{port['id']}") for port in cloud.config["ports"]]
    requests += [("network", f"/floatingips/{ip['id']}") for ip in cloud.config["addresses"]]
    opened = [(cloud.connect(service), service, path) for service, path in requests]
    for connection, service, path in opened:
        cloud.begin(connection, "DELETE", service, path)
    failed = []
    for connection, _, path in opened:
        try:
            cloud.end(connection, f"DELETE {path}", (GONE,))
        except FailedError as error:
            failed.append(str(error))
    if failed:
        raise FailedError("; ".join(failed))


STEPS = (mark, delete_others, delete_keypair, delete_groups, delete_self)


def main() -> int:
    config = json.loads(Path(os.environ["CREDENTIALS_DIRECTORY"], "removal.json").read_text())
    cloud = Cloud(config)
    try:
        cloud.login()
        # A server that Nova no longer knows may have a successor, which owns port and address now.
        answer = cloud.send("GET", "compute", f"/servers/{config['server']}", None, (GONE,))
        if answer.status == GONE or not expired(answer):
            return 0
        for step in STEPS:
            print(f"Expired: {step.__name__}", flush=True)
            step(cloud)
    except FailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
