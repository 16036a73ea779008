"""Values that may go into a settings file on a server, or a command line, as they are."""

from __future__ import annotations

import re

# A shell reads that file, and YAML carries it. So a value must not contain blanks, quotes, control
# characters or shell syntax.
PLAIN = re.compile(r"[^\s'\"\\`$<>|;\x00-\x1f]+")

# It becomes an argument of ssh, so it must not look like an option.
JUMP_HOST = re.compile(r"([A-Za-z0-9_][\w.-]*@)?([A-Za-z0-9][\w.-]*|\[[0-9a-fA-F:]+\])(:\d{1,5})?")
# Registry, name and tag. RabbitMQ's image has a name of its own, so a digest would not name both.
IMAGE_TAG = re.compile(
    r"[a-z0-9][a-zA-Z0-9.-]*(:\d{1,5})?(/[a-z0-9][a-z0-9._-]*)*(:[\w][\w.-]{0,127})?"
)


def plain(value: str) -> str:
    if not PLAIN.fullmatch(value):
        raise ValueError("must not be empty or contain blanks, quotes, $ or other shell characters")
    return value


def plain_line(value: str) -> str:
    if any(ord(character) < 32 for character in value):
        raise ValueError("must be one line")
    return value


def jump_host(value: str) -> str:
    if not JUMP_HOST.fullmatch(value):
        raise ValueError("must be HOST, USER@HOST or USER@HOST:PORT")
    return value


def container_image(value: str) -> str:
    if not IMAGE_TAG.fullmatch(value):
        raise ValueError("must be NAME, NAME:TAG or REGISTRY/NAME:TAG, and no digest")
    return value
