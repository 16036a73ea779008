"""Where versions are kept: `swift:CONTAINER[/PREFIX]` or `s3:BUCKET[/PREFIX]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from openstack_client.errors import SettingsError

KINDS = ("swift", "s3")
_STORE = re.compile(r"(?P<kind>[a-z0-9]+):(?P<container>[^/\s]+)(?:/(?P<prefix>\S*))?")


@dataclass(frozen=True)
class Place:
    """A container or bucket, and where in it the versions are."""

    kind: str
    container: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.container}" + (f"/{self.prefix}" if self.prefix else "")

    def key(self, name: str) -> str:
        """The name of an object in the container."""
        return f"{self.prefix}/{name}" if self.prefix else name


def parse(text: str) -> Place:
    """Read STORE. Raises SettingsError."""
    match = _STORE.fullmatch(text)
    if not match or match["kind"] not in KINDS:
        raise SettingsError(
            f"{text!r} is no store.", "Write swift:CONTAINER[/PREFIX] or s3:BUCKET[/PREFIX]."
        )
    prefix = (match["prefix"] or "").strip("/")
    if any(part in {"", ".", ".."} for part in prefix.split("/")) and prefix:
        raise SettingsError(
            f"The prefix {prefix!r} is not valid.", "Write names between single slashes."
        )
    return Place(match["kind"], match["container"], prefix)
