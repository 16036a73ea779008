#!/usr/bin/env python3
"""Fetch uv, which installs the locked dependencies, straight from the package index.

This needs neither pip nor apt, so it waits for neither. uv.txt, beside this program, names the file
and its SHA-256. If UV_DEFAULT_INDEX names a mirror, the file comes from there.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import io
import os
import platform
import re
import sys
import time
import urllib.request
import zipfile
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urljoin, urlsplit

PINS = Path(__file__).resolve().parent / "uv.txt"
MIRROR = os.environ.get("UV_DEFAULT_INDEX")
TRIES = 3


def main(target: Path) -> None:
    pins = dict(line.split() for line in PINS.read_text().splitlines() if not line.startswith("#"))
    machine = platform.machine()
    address = next((address for address in pins if address.endswith(f"_{machine}.whl")), None)
    if address is None:
        sys.exit(f"error: uv has no wheel for this processor, {machine}")
    expected = pins[address]
    if MIRROR:
        page = f"{MIRROR.rstrip('/')}/uv/"
        address = link_to(address.rsplit("/", 1)[1], page, get(page).decode("utf-8"))
    wheel = get(address)
    found = hashlib.sha256(wheel).hexdigest()
    if found != expected:
        sys.exit(f"error: uv from {host(address)} has SHA-256 {found}, not {expected}")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        program = next(entry for entry in archive.namelist() if entry.endswith("/scripts/uv"))
        target.write_bytes(archive.read(program))
    target.chmod(0o755)


def link_to(name: str, page: str, text: str) -> str:
    for link in re.findall(r'href\s*=\s*["\']([^"\']+)', text):
        address = urljoin(page, html.unescape(link).split("#")[0])
        if unquote(urlsplit(address).path).endswith(f"/{name}"):
            return address
    sys.exit(f"error: the package index at {host(page)} does not have {name}")


def get(address: str) -> bytes:
    request = urllib.request.Request(
        address, headers={"Accept-Encoding": "gzip", "Accept": "text/html, */*"}
    )
    for attempt in range(1, TRIES + 1):
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                body: bytes = answer.read()
                packed = answer.headers.get("Content-Encoding") == "gzip"
                return gzip.decompress(body) if packed else body
        except HTTPError as error:
            sys.exit(f"error: {host(address)} answered {error.code} {error.reason}")
        except (URLError, OSError) as error:
            if attempt == TRIES:
                reason = getattr(error, "reason", error)
                sys.exit(f"error: cannot reach the package index at {host(address)}: {reason}")
            time.sleep(attempt)
    raise AssertionError("the loop above returns or exits")


def host(address: str) -> str:
    return urlsplit(address).netloc


if __name__ == "__main__":
    main(Path(sys.argv[1]))
