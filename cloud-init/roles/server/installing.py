#!/usr/bin/env python3
"""Tell whoever opens the service's port that this machine is being installed: a 503 to everything.

installing-stackserve.service runs it until the web tier starts.
"""

from __future__ import annotations

import os
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TEXT = b"This server is being installed.\n"


class Page(BaseHTTPRequestHandler):
    timeout = 30
    server_version = "Stackserve"
    sys_version = ""

    def do_GET(self) -> None:
        self.close_connection = True
        self.send_response(HTTPStatus.SERVICE_UNAVAILABLE)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(TEXT)))
        self.send_header("Retry-After", "15")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(TEXT)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Page).serve_forever()
