"""Access without files; only tokens need a folder."""

from __future__ import annotations

from pathlib import Path

from production_server.access.policy import Preset, Scope
from production_server.access.signing import Signing
from production_server.access.tokens import Tokens
from production_server.web.access import Access

NOWHERE = Path("/nonexistent/access")


def make_access(preset: Preset = Preset.OPEN, folder: Path = NOWHERE) -> Access:
    return Access(preset, Tokens(folder), Signing(b"k" * 32))


def bearer(access: Access, *scopes: Scope, name: str = "someone") -> dict[str, str]:
    """The header of a new token."""
    plain = access.tokens.create(name, frozenset(scopes), None)
    return {"Authorization": f"Bearer {plain}"}
