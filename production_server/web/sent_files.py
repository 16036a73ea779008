"""The files of a request: its body as one file, or the parts of a form. They go to the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from production_server.errors import GateError
from production_server.model.incoming import spool
from production_server.web.problems import Problem
from production_server.web.uploads import DISCONNECTED

FORM = "multipart/form-data"
# The boundaries and headers of the parts.
OVERHEAD = 1 << 20
MOST_FILES = 10
# Where a file of the form goes, or None to refuse it: gets the name of its field and its own name.
Namer = Callable[[str, str], str | None]


def save(folder: Path, limit: int, body_name: str, named: Namer) -> None:
    """Write the request's body to `folder`, or the files of its form. Raises a Problem."""
    if request.content_encoding:
        raise Problem(
            415,
            "unsupported_content_encoding",
            f"Content-Encoding: {request.content_encoding} is not supported.",
            "Send the body uncompressed.",
        )
    if (request.content_length or 0) > limit + OVERHEAD:
        raise too_large(limit)
    try:
        if request.mimetype == FORM:
            _save_form(folder, limit, named)
        else:
            _save_body(folder / body_name, limit)
    except GateError:
        raise too_large(limit) from None
    except RequestEntityTooLarge:
        raise too_large(limit) from None
    except ClientDisconnected:
        raise _incomplete() from None


def _save_body(target: Path, limit: int) -> None:
    known = request.content_length is not None
    # Werkzeug gives no stream for a body of unknown length, unless the server marks its end.
    source = request.stream if known else request.environ["wsgi.input"]
    size = spool(cast(BinaryIO, source), target, limit)
    if request.environ.get("asgi.scope", {}).get(DISCONNECTED):
        raise _incomplete()
    if size == 0:
        raise Problem(400, "empty_body", "The body is empty.", "Send the file as the body.")


def _save_form(folder: Path, limit: int, named: Namer) -> None:
    if request.content_length is None:
        raise Problem(
            411,
            "length_required",
            "A form needs a Content-Length.",
            "Send it with a length, or the file itself as the body.",
        )
    request.max_content_length = limit + OVERHEAD
    parts = [(field, file) for field, file in request.files.items(multi=True) if file.filename]
    if not 1 <= len(parts) <= MOST_FILES:
        raise Problem(
            400,
            "no_file",
            f"The form has {len(parts)} files.",
            f"Send 1 to {MOST_FILES} files, each as a part with a file name.",
        )
    for field, file in parts:
        shown = PurePosixPath((file.filename or "").replace("\\", "/")).name
        name = named(field, shown)
        if name is None or (folder / name).exists():
            raise Problem(
                400,
                "unexpected_file",
                f"The form contains {shown[:80]!r}, which is not expected, or twice.",
                "See /openapi.json for the files of this request.",
            )
        spool(cast(BinaryIO, file.stream), folder / name, limit)


def too_large(limit: int) -> Problem:
    return Problem(
        413,
        "body_too_large",
        f"The body exceeds {limit:,} bytes.",
        "Send less, or bring the file to the server and use the command line there.",
    )


def _incomplete() -> Problem:
    return Problem(
        400, "incomplete_body", "The body is incomplete.", "Send it again; nothing was changed."
    )
