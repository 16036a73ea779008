"""Runs a whole Swift in one process: one replica in a folder, accounts by tempauth.

Started with the Python of an environment that has Swift: FOLDER PORT USER KEY
CONTAINER. A login like Keystone's is in front of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import eventlet

eventlet.monkey_patch()
from urllib.error import HTTPError  # noqa: E402
from urllib.request import Request, urlopen  # noqa: E402

from cryptography.fernet import Fernet  # noqa: E402
from eventlet import wsgi  # noqa: E402
from swift.common import utils  # noqa: E402
from swift.common.http_protocol import SwiftHttpProtocol  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

PROXY = """
[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors tempauth proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:tempauth]
use = egg:swift#tempauth
user_demo_{user} = {key} .admin
storage_url_scheme = http
fernet_key_one = {fernet}
active_fernet_key_id = one
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
"""
STORAGE = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""


def main(folder: Path, port: int, user: str, key: str, container: str) -> None:
    (folder / "devices" / "d1").mkdir(parents=True)
    (folder / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = tests\n"
        "[storage-policy:0]\nname = one\ndefault = yes\n"
    )
    utils.set_swift_dir(str(folder))
    utils.validate_hash_conf()
    for kind in ("account", "container", "object"):
        listening = eventlet.listen(("127.0.0.1", 0))
        ring = RingBuilder(1, 1, 0)
        ring.add_dev(
            {"id": 0, "region": 1, "zone": 1, "weight": 1, "ip": "127.0.0.1", "device": "d1"}
            | {"port": listening.getsockname()[1]}
        )
        ring.rebalance()
        ring.get_ring().save(str(folder / f"{kind}.ring.gz"))
        serve(folder, kind, listening, STORAGE.format(folder=folder, kind=kind))
    text = PROXY.format(folder=folder, user=user, key=key, fernet=Fernet.generate_key().decode())
    swift = eventlet.listen(("127.0.0.1", 0))
    serve(folder, "proxy", swift, text)
    where = f"http://127.0.0.1:{swift.getsockname()[1]}"
    make_container(where, user, key, container)
    login = eventlet.listen(("127.0.0.1", port))
    eventlet.spawn(
        wsgi.server, login, Login(where, f"http://127.0.0.1:{port}/v3"), log_output=False
    )
    while True:
        eventlet.sleep(60)


def serve(folder: Path, kind: str, listening: object, text: str) -> None:
    config = folder / f"{kind}-server.conf"
    config.write_text(text)
    app = loadapp(str(config), global_conf={"log_name": kind})
    more = {"protocol": SwiftHttpProtocol, "capitalize_response_headers": False}
    eventlet.spawn(wsgi.server, listening, app, log_output=False, **more)


def tempauth(swift: str, user: str, key: str) -> Any:
    """The headers with a token and the account's URL. Raises HTTPError."""
    headers = {"X-Auth-User": f"demo:{user}", "X-Auth-Key": key}
    with urlopen(Request(f"{swift}/auth/v1.0", headers=headers)) as answered:
        return answered.headers


def make_container(swift: str, user: str, key: str, name: str) -> None:
    given = tempauth(swift, user, key)
    token = {"X-Auth-Token": given["X-Auth-Token"]}
    urlopen(Request(f"{given['X-Storage-Url']}/{name}", method="PUT", headers=token)).close()


class Login:
    """A login like Keystone's: it checks passwords with tempauth, and gives its tokens."""

    def __init__(self, swift: str, url: str) -> None:
        self.swift = swift
        self.url = url

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "GET":
            links = [{"rel": "self", "href": self.url}]
            version = {"id": "v3.14", "status": "stable", "links": links}
            return answer(start_response, "200 OK", {"version": version})
        asked = json.load(environ["wsgi.input"])["auth"]
        user = asked["identity"]["password"]["user"]
        try:
            given = tempauth(self.swift, user["name"], user["password"])
        except HTTPError:
            refused = {"error": {"code": 401, "message": "Invalid credentials"}}
            return answer(start_response, "401 Unauthorized", refused)
        endpoint = {"id": "1", "interface": "public", "region": "R", "region_id": "R"}
        endpoint["url"] = given["X-Storage-Url"]
        token = {
            "methods": ["password"],
            "expires_at": "2999-01-01T00:00:00.000000Z",
            "issued_at": "2000-01-01T00:00:00.000000Z",
            "user": {"id": "u", "name": user["name"], "domain": {"id": "d", "name": "Default"}},
            "project": {"id": "p", "name": "demo", "domain": {"id": "d", "name": "Default"}},
            "roles": [{"id": "r", "name": "member"}],
            "catalog": [{"type": "object-store", "name": "swift", "endpoints": [endpoint]}],
        }
        more = (("X-Subject-Token", given["X-Auth-Token"]),)
        return answer(start_response, "201 Created", {"token": token}, more)


def answer(
    start_response: Any, status: str, content: object, more: tuple[tuple[str, str], ...] = ()
) -> list[bytes]:
    start_response(status, [("Content-Type", "application/json"), *more])
    return [json.dumps(content).encode()]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6])
