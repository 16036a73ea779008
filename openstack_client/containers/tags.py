"""Names of images: REGISTRY/REPOSITORY:TAG."""

from __future__ import annotations

import re

from openstack_client.errors import SettingsError

PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
HOST = r"[A-Za-z0-9.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?"
NAME = re.compile(
    rf"((?:(?:{HOST})/)?{PART}(?:/{PART})*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}))?"
)


def check(tag: str) -> str:
    """The tag. Raises SettingsError if Docker would refuse it."""
    if not NAME.fullmatch(tag):
        raise SettingsError(
            f"{tag!r} is not the name of an image.",
            "Use NAME, NAME:TAG or REGISTRY/NAME:TAG, with the name in lowercase letters.",
        )
    return tag


def repository(tag: str) -> str:
    """What is before the colon, registry and all."""
    found = NAME.fullmatch(tag)
    assert found, "checked before"
    return found[1]


def beside(tag: str, what: str) -> str:
    """The name of an image that goes with this one, as docker-compose.yml expects it."""
    name = repository(tag)
    return f"{name}-{what}{tag.removeprefix(name)}"


def registry(tag: str) -> str:
    """The registry's host; "" for the one that Docker uses by default."""
    host, slash, _ = repository(tag).partition("/")
    # Docker's own rule, by which the first part of a name is a host.
    return host if slash and (host == "localhost" or re.search(r"[.:\[]", host)) else ""
