"""A small identity provider: real keys and real HTTP, and tokens that say whatever a test wants."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

AUDIENCE = "stackserve"


class IdentityProvider:
    """Publishes `keys`, and signs with them."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.keys: list[RSAKey | ECKey] = [self.new_key("first")]
        self.asked: list[str] = []
        self.document: dict[str, Any] = {}
        self.hangs = threading.Event()
        self.forms: list[dict[str, str]] = []
        self.tokens: dict[str, Any] | None = None
        """What the token endpoint answers; None refuses."""

    @staticmethod
    def new_key(key_id: str) -> RSAKey:
        return RSAKey.generate_key(2048, {"kid": key_id, "use": "sig"}, private=True)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims that are valid, except for the changes; None leaves one out."""
        now = int(time.time())
        usual = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "somebody",
            "iat": now,
            "exp": now + 300,
            "scope": "predict jobs",
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def token(self, key: Any = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
        key = key or self.keys[0]
        head = {"alg": "RS256", "kid": key.kid} | (header or {})
        return jwt.encode(head, self.claims(**changes), key, algorithms=[head["alg"]])

    def signed_with_secret(self, secret: bytes, **changes: Any) -> str:
        """A token that HMAC signs, as if `secret` were its key."""
        # By hand: the library refuses a public key as a secret.
        parts = [{"alg": "HS256", "kid": self.keys[0].kid}, self.claims(**changes)]
        text = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()
        return f"{text}.{_encoded(signature)}"

    def answer(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            usual = {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
            }
            return usual | self.document
        if path == "/keys":
            return {"keys": [key.as_dict(private=False) for key in self.keys]}
        raise LookupError(path)


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                content = json.dumps(provider.answer(self.path)).encode()
            except LookupError:
                self.send_error(404)
                return
            if provider.hangs.is_set():
                time.sleep(10)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            provider.forms.append(dict(parse_qsl(body)))
            if self.path != "/token" or provider.tokens is None:
                self.send_error(400)
                return
            content = json.dumps(provider.tokens).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider = IdentityProvider(server.server_port)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
