"""The names of resources: what we call ours, and how to find others by name or id."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from openstack_client.errors import Problem

SHOWN = 8


class Named(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


Thing = TypeVar("Thing", bound=Named)


def made_name(deployment: str) -> str:
    """The name of everything that the launcher creates for a deployment."""
    return f"stackserve-{deployment}"


def nearest(wanted: str, names: Iterable[str]) -> str | None:
    """The name a person probably meant, or None."""
    by_folded = {name.casefold(): name for name in names}
    match = difflib.get_close_matches(wanted.casefold(), by_folded, n=1, cutoff=0.6)
    if match:
        return by_folded[match[0]]
    containing = [name for folded, name in by_folded.items() if wanted.casefold() in folded]
    return containing[0] if len(containing) == 1 else None


def listed(names: Iterable[str]) -> str:
    """The names in order, cut after a screenful."""
    ordered = sorted(set(names))
    if not ordered:
        return "none"
    more = len(ordered) - SHOWN
    return ", ".join(ordered[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def resolve(kind: str, wanted: str, things: Sequence[Thing]) -> Thing | Problem:
    """The one thing whose id or name is `wanted`; else the Problem to show."""
    for thing in things:
        if thing.id == wanted:
            return thing
    same = [thing for thing in things if thing.name == wanted]
    if len(same) == 1:
        return same[0]
    if same:
        ids = ", ".join(sorted(thing.id for thing in same))
        return Problem(kind, f"{len(same)} are called {wanted!r}.", f"Give one id instead: {ids}.")
    names = [thing.name for thing in things]
    guess = nearest(wanted, names)
    remedy = f"Did you mean {guess!r}? " if guess else ""
    return Problem(kind, f"there is no {wanted!r} here.", f"{remedy}There is: {listed(names)}.")
