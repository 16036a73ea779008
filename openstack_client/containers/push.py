"""Push images to a registry, with an account that no file keeps."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openstack_client.containers import tags
from openstack_client.containers.docker import Docker
from openstack_client.containers.settings import PASSWORD, USERNAME, Login
from openstack_client.errors import CredentialsError, ImageError

CONFIG = "DOCKER_CONFIG"
# Where Docker keeps logins, or says which program does.
LOGINS = ("auths", "credsStore", "credHelpers")
# How registries and Docker say that it is about the account.
REFUSALS = ("unauthorized", "denied", "no basic auth", "401", "403")


def push(docker: Docker, tag: str) -> str:
    """Push an image; return its digest."""
    if docker.show(["push", tag]):
        raise ImageError(
            f"docker push of {tag} failed; see its messages above.",
            f"If the registry refused the account, set {USERNAME} and {PASSWORD}, or use `docker "
            "login`.",
        )
    name = tags.repository(tag)
    for pushed in docker.inspect(tag)["RepoDigests"]:
        repository, _, digest = pushed.partition("@")
        if repository in (name, f"docker.io/{name}"):
            return str(digest)
    raise ImageError(f"Docker does not tell the digest of {tag}.", "See `docker image inspect`.")


@contextmanager
def logged_in(docker: Docker, registry: str, login: Login) -> Iterator[Docker]:
    """Docker with this account, and with the rest of the user's configuration."""
    with tempfile.TemporaryDirectory(prefix="stackserve-") as folder:
        copy_config(config_folder(docker.env), Path(folder))
        mine = Docker({**docker.env, CONFIG: folder})
        arguments = ["login", "--username", login.username, "--password-stdin"]
        try:
            mine.ask(*arguments, *([registry] if registry else []), feed=login.password)
        except ImageError as error:
            if any(sign in error.what for sign in REFUSALS):
                raise CredentialsError(
                    f"{registry or 'The registry'} refused the account {login.username!r}.",
                    f"Correct {USERNAME} and {PASSWORD}.",
                ) from error
            raise
        yield mine


def config_folder(env: Mapping[str, str]) -> Path:
    return Path(env.get(CONFIG) or Path(env.get("HOME", "~")).expanduser() / ".docker")


def copy_config(source: Path, target: Path) -> None:
    """The same configuration without its logins: contexts and plugins still count."""
    config: dict[str, Any] = {}
    for path in source.iterdir() if source.is_dir() else ():
        if path.name == "config.json":
            config = json.loads(path.read_bytes())
        else:
            (target / path.name).symlink_to(path.absolute())
    kept = {name: value for name, value in config.items() if name not in LOGINS}
    (target / "config.json").write_text(json.dumps(kept))
