"""Resource names: the name of our own resources, and lookup of others by name or id."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from openstack_client.errors import Problem

MAX_LISTED = 8


class Named(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


Resource = TypeVar("Resource", bound=Named)


def resource_name(deployment: str) -> str:
    """The name of every resource the launcher creates for a deployment."""
    return f"stackserve-{deployment}"


def member_name(deployment: str, part: str) -> str:
    """The name of one server of a deployment; `part` is empty for the front end."""
    return "-".join(filter(None, [resource_name(deployment), part]))


def nearest(wanted: str, names: Iterable[str]) -> str | None:
    """The name the user probably meant, or None."""
    by_folded = {name.casefold(): name for name in names}
    match = difflib.get_close_matches(wanted.casefold(), by_folded, n=1, cutoff=0.6)
    if match:
        return by_folded[match[0]]
    containing = [name for folded, name in by_folded.items() if wanted.casefold() in folded]
    return containing[0] if len(containing) == 1 else None


def listed(names: Iterable[str]) -> str:
    """The names in order; a long list is cut."""
    ordered = sorted(set(names))
    if not ordered:
        return "none"
    more = len(ordered) - MAX_LISTED
    return ", ".join(ordered[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def resolve(kind: str, wanted: str, resources: Sequence[Resource]) -> Resource | Problem:
    """The resource with this id or name, or the Problem to report."""
    for resource in resources:
        if resource.id == wanted:
            return resource
    same = [resource for resource in resources if resource.name == wanted]
    if len(same) == 1:
        return same[0]
    if same:
        ids = ", ".join(sorted(resource.id for resource in same))
        return Problem(kind, f"{len(same)} have the name {wanted!r}.", f"Use an id instead: {ids}.")
    names = [resource.name for resource in resources]
    guess = nearest(wanted, names)
    remedy = f"Did you mean {guess!r}? " if guess else ""
    return Problem(kind, f"{wanted!r} not found.", f"{remedy}Available: {listed(names)}.")
