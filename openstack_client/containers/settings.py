"""What the images take from the environment, besides the settings of a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from openstack_client.errors import CredentialsError
from openstack_client.places import CHECKOUT

USERNAME = "STACKSERVE_REGISTRY_USERNAME"
PASSWORD = "STACKSERVE_REGISTRY_PASSWORD"


@dataclass(frozen=True)
class Login:
    """An account of a registry."""

    username: str
    password: str = field(repr=False)


def login(env: Mapping[str, str]) -> Login | None:
    """The account to push with; None for the one that Docker has stored."""
    username, password = env.get(USERNAME, ""), env.get(PASSWORD, "")
    if bool(username) != bool(password):
        given, absent = (USERNAME, PASSWORD) if username else (PASSWORD, USERNAME)
        raise CredentialsError(
            f"{given} is set, but {absent} is not.",
            "Set both, or neither to use what `docker login` has stored.",
        )
    return Login(username, password) if username else None


def models_folder(env: Mapping[str, str]) -> Path:
    """The registry of the service on this machine, as production_server/settings.py chooses it."""
    if env.get("STACKSERVE_REGISTRY"):
        return Path(env["STACKSERVE_REGISTRY"]).expanduser()
    if env.get("STACKSERVE_HOME"):
        return Path(env["STACKSERVE_HOME"]).expanduser() / "models"
    if CHECKOUT is not None:
        return CHECKOUT / ".stackserve" / "models"
    data = Path(env.get("XDG_DATA_HOME", ""))
    home = data if data.is_absolute() else Path(env.get("HOME", "~")).expanduser() / ".local/share"
    return home / "stackserve" / "models"
