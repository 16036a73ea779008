"""An upload of rows, taken from the request in hand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from flask import request
from werkzeug.exceptions import ClientDisconnected

from production_server.errors import UploadMalformed, UploadTooLarge
from production_server.jobs.acceptance import Upload
from production_server.jobs.intake import Body, Media
from production_server.web.endpoints import JSON
from production_server.web.parameters import flag
from production_server.web.problems import RETRY_SECONDS, Problem

MEDIA: dict[str, Media] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/vnd.ms-excel": "csv",  # what Windows browsers call a .csv file
    JSON: "json",
}
# An upload holds a thread of this process; some must be left for the pages.
MOST_UPLOADS = 8
LONGEST_KEY = 255
# Set by the front when the client went away: a body without a length just seems to end there.
DISCONNECTED = "stackserve.disconnected"


def upload_of(most_bytes: int) -> Upload:
    """The request in hand as an upload; its body is not read yet."""
    media = MEDIA.get(request.mimetype)
    if media is None:
        raise Problem(
            415,
            "unsupported_media_type",
            f"{request.mimetype or 'a body without a Content-Type'} is not read here.",
            "Send Content-Type: text/csv or application/json.",
        )
    if request.content_encoding:
        raise Problem(
            415,
            "unsupported_content_encoding",
            f"Content-Encoding: {request.content_encoding} is not read here.",
            "Send the body as it is, not compressed.",
        )
    if (request.content_length or 0) > most_bytes:
        raise UploadTooLarge(
            "body_too_large",
            f"the body is larger than {most_bytes} bytes",
            "Split the file, or have STACKSERVE_MAX_BODY_BYTES raised.",
        )
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isprintable()):
        raise Problem(
            400,
            "invalid_idempotency_key",
            "The Idempotency-Key is empty, too long or holds unprintable signs.",
            f"Send 1 to {LONGEST_KEY} printable signs, a UUID for example.",
        )
    ignore = flag("ignore_unknown")
    return Upload(
        body=Body(cast(BinaryIO, _Stream()), most_bytes, media, str(ignore)),
        media=media,
        key=key,
        ignore_unknown=ignore,
    )


class _Stream:
    """The request's body, which ends in an error if the client went away before its end."""

    def __init__(self) -> None:
        # A body of unknown length has no stream in werkzeug unless the server vouches for its end.
        self._source = (
            request.stream if request.content_length is not None else request.environ["wsgi.input"]
        )
        self._scope = request.environ.get("asgi.scope", {})

    def read(self, size: int) -> bytes:
        try:
            piece: bytes = self._source.read(size)
        except ClientDisconnected:
            raise _broken() from None
        if not piece and self._scope.get(DISCONNECTED):
            raise _broken()
        return piece


def _broken() -> UploadMalformed:
    return UploadMalformed(
        "incomplete_body", "the body ended too early", "Send it again; nothing of it was kept."
    )


@contextmanager
def turn(uploads: threading.BoundedSemaphore) -> Iterator[None]:
    if not uploads.acquire(blocking=False):
        raise Problem(
            429,
            "too_many_uploads",
            f"{MOST_UPLOADS} uploads are under way in this process.",
            "Send the file again in a moment.",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
    try:
        yield
    finally:
        uploads.release()
