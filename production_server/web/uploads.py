"""Read an upload of rows from the current Flask request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from flask import request
from werkzeug.exceptions import ClientDisconnected

from production_server.errors import UploadMalformed
from production_server.jobs.acceptance import Upload
from production_server.jobs.intake import Body, Media, body_too_large
from production_server.web.openapi_parts import JSON
from production_server.web.parameters import flag
from production_server.web.problems import RETRY_SECONDS, Problem
from production_server.web.request_ids import current_id
from production_server.web.shares import NoPlace, Places

MEDIA: dict[str, Media] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/vnd.ms-excel": "csv",  # sent for a .csv file by browsers on Windows
    JSON: "json",
}
# An upload occupies a thread. One address may run half of them.
MOST_UPLOADS = 16
LONGEST_KEY = 255
# Set by the front when the client disconnects: a body without a length seems to just end there.
DISCONNECTED = "stackserve.disconnected"


def key_of_request() -> str | None:
    """The Idempotency-Key of the current request."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        raise Problem(
            400,
            "invalid_idempotency_key",
            "The Idempotency-Key is empty, too long or has unprintable characters.",
            f"Send 1 to {LONGEST_KEY} printable characters, for example a UUID.",
        )
    return key


def upload_of(most_bytes: int, turn: threading.Lock, key: str | None, owner: str) -> Upload:
    """The current request as an upload; its body is not read yet.

    Whoever reads it must hold the turn, which others may take while a part of the body arrives.
    """
    media = MEDIA.get(request.mimetype)
    if media is None:
        raise Problem(
            415,
            "unsupported_media_type",
            f"{request.mimetype or 'A body without a Content-Type'} is not supported.",
            "Send Content-Type: text/csv or application/json.",
        )
    if request.content_encoding:
        raise Problem(
            415,
            "unsupported_content_encoding",
            f"Content-Encoding: {request.content_encoding} is not supported.",
            "Send the body uncompressed.",
        )
    if (request.content_length or 0) > most_bytes:
        raise body_too_large(most_bytes)
    ignore = flag("ignore_unknown")
    return Upload(
        body=Body(cast(BinaryIO, _Stream(turn)), most_bytes, media, str(ignore)),
        media=media,
        key=key,
        owner=owner,
        ignore_unknown=ignore,
        request_id=current_id(),
    )


class _Stream:
    """The request's body; reading it fails if the client disconnected before its end."""

    def __init__(self, turn: threading.Lock) -> None:
        self._turn = turn
        # Werkzeug gives no stream for a body of unknown length, unless the server marks its end.
        self._source = (
            request.stream if request.content_length is not None else request.environ["wsgi.input"]
        )
        self._scope = request.environ.get("asgi.scope", {})

    def read(self, size: int) -> bytes:
        try:
            with _without(self._turn):
                piece: bytes = self._source.read(size)
        except ClientDisconnected:
            raise _incomplete() from None
        if not piece and self._scope.get(DISCONNECTED):
            raise _incomplete()
        return piece


@contextmanager
def _without(turn: threading.Lock) -> Iterator[None]:
    turn.release()
    try:
        yield
    finally:
        turn.acquire()


def _incomplete() -> UploadMalformed:
    return UploadMalformed(
        "incomplete_body", "the body is incomplete", "Send it again; nothing was stored."
    )


@contextmanager
def limited(uploads: Places) -> Iterator[None]:
    """Refuse an upload while too many others run."""
    try:
        with uploads.take(request.remote_addr):
            yield
    except NoPlace as error:
        origin = "from your address " if error.by_address else ""
        raise Problem(
            429,
            "too_many_uploads",
            f"{error.taken} uploads {origin}are running already.",
            "Send the file again later.",
            headers={"Retry-After": str(RETRY_SECONDS)},
        ) from None
