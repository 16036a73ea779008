"""Values that may go into a settings file on a server as they are."""

from __future__ import annotations

import re

# A shell reads that file, and YAML carries it. So a value must not contain blanks, quotes, control
# characters or shell syntax.
PLAIN = re.compile(r"[^\s'\"\\`$<>|;\x00-\x1f]+")


def plain(value: str) -> str:
    if not PLAIN.fullmatch(value):
        raise ValueError("must not be empty or contain blanks, quotes, $ or other shell characters")
    return value


def plain_line(value: str) -> str:
    if any(ord(character) < 32 for character in value):
        raise ValueError("must be one line")
    return value
