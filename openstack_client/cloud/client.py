"""One login for all: a keystoneauth session and the three clients made from it.

keystoneclient tells about identity, novaclient works with servers, openstacksdk with
images and networks. Every request goes through `ask` or `make`, which try again when that
can help and turn what remains into this package's errors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import openstack.connection
import tenacity
from keystoneauth1 import exceptions as auth_errors
from keystoneclient.v3 import client as keystone_client
from novaclient import client as nova_client
from openstack.config import OpenStackConfig
from openstack.config.cloud_region import CloudRegion

from openstack_client.cloud import failures
from openstack_client.cloud.credentials import Source, missing_in_cloud
from openstack_client.errors import CredentialsError

# Pike (2017): the first with tags, descriptions and fault details as they are used here.
NOVA_VERSION = "2.53"
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 16.0

Answer = TypeVar("Answer")


class Cloud:
    """A project of an OpenStack cloud, logged in to at first use."""

    def __init__(
        self,
        region: CloudRegion,
        *,
        timeout: int,
        retries: int,
        note: Callable[[str], None],
    ) -> None:
        # openstacksdk would try again by itself, silently and on top of `ask`.
        for service in ("image", "baremetal", "baremetal_introspection"):
            region.config[f"{service}_status_code_retries"] = 0
        self.region = region
        self.session = region.get_session()
        self.session.timeout = timeout
        self.retries = retries
        self.note = note

    @cached_property
    def connection(self) -> Any:
        return openstack.connection.Connection(config=self.region, session=self.session)

    @cached_property
    def nova(self) -> Any:
        return nova_client.Client(NOVA_VERSION, session=self.session, **self._endpoint())

    @cached_property
    def keystone(self) -> Any:
        return keystone_client.Client(session=self.session, **self._endpoint())

    @property
    def auth_url(self) -> str:
        return str(self.region.config.get("auth", {}).get("auth_url", ""))

    @property
    def project_id(self) -> str:
        return str(self.session.get_project_id() or "")

    def ask(self, service: str, doing: str, call: Callable[[], Answer]) -> Answer:
        """Send a request that may safely be sent twice."""
        tries = 0

        def once() -> Answer:
            nonlocal tries
            tries += 1
            return call()

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.retries + 1),
            wait=tenacity.wait_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            retry=tenacity.retry_if_exception(failures.is_transient),
            before_sleep=lambda state: self._tell_retry(service, doing, state),
            reraise=True,
        )
        try:
            return retrying(once)
        except failures.API_ERRORS as error:
            raise failures.in_words(service, doing, error, tries) from error

    def make(
        self,
        service: str,
        doing: str,
        create: Callable[[], Answer],
        find: Callable[[], Answer | None],
    ) -> Answer:
        """Send a request that makes something: before a second try, look whether the first did."""
        sent = False

        def create_once() -> Answer:
            nonlocal sent
            if sent:
                found = find()
                if found is not None:
                    return found
            sent = True
            return create()

        return self.ask(service, doing, create_once)

    def _tell_retry(self, service: str, doing: str, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is None or state.next_action is None:
            return
        failure = failures.read(error)
        answered = f"answered {failure.status}" if failure.status else f"failed ({failure.message})"
        self.note(
            f"{service} {answered} when asked to {doing}; trying again in "
            f"{state.next_action.sleep:.0f} s ({state.attempt_number} of {self.retries})."
        )

    def _endpoint(self) -> dict[str, Any]:
        return {
            "region_name": self.region.get_region_name(),
            "interface": self.region.get_interface() or "public",
        }


def region_of(source: Source, overrides: dict[str, Any]) -> CloudRegion:
    """openstacksdk's reading of the credentials, which must be whole."""
    region = _read(source, overrides)
    auth = region.config.get("auth", {})
    kind = str(region.config.get("auth_type") or "")
    absent = missing_in_cloud(auth, kind) if source.kind == "clouds.yaml" else []
    if absent:
        raise CredentialsError(
            f"The credentials of {source.words} are not whole.",
            "Write it under `auth:` there, or a secret into secure.yaml beside it.",
            problems=absent,
        )
    url = str(auth.get("auth_url", ""))
    if not url.startswith(("http://", "https://")):
        raise CredentialsError(
            f"{url!r} is no address of Keystone; it is that of {source.words}.",
            "It begins with https:// or http://, and mostly ends in /v3.",
        )
    return region


def _read(source: Source, overrides: dict[str, Any]) -> CloudRegion:
    """Without mixing the two kinds of credentials."""
    try:
        if source.kind == "clouds.yaml":
            config = OpenStackConfig(
                config_files=[str(source.file)],
                secure_files=_secure(source.file),
                load_envvars=False,
                app_name="stackserve",
            )
            return config.get_one(cloud=source.cloud, **overrides)
        config = OpenStackConfig(load_yaml_config=False, load_envvars=False, app_name="stackserve")
        return config.get_one(**_as_arguments(source.values))
    except (auth_errors.MissingRequiredOptions, auth_errors.NoMatchingPlugin) as error:
        raise CredentialsError(
            f"The credentials of {source.words} are not whole: {error}."
        ) from error
    except failures.API_ERRORS as error:
        said = str(error).rstrip(".")
        raise CredentialsError(
            f"The credentials of {source.words} cannot be used: {said}."
        ) from error


def _secure(file: Path | None) -> list[str]:
    """secure.yaml beside clouds.yaml, where people keep the password apart."""
    beside = [file.with_name(name) for name in ("secure.yaml", "secure.yml")] if file else []
    return [str(path) for path in beside if path.is_file()]


def _as_arguments(values: Any) -> dict[str, Any]:
    arguments = {key: value for key, value in values.items() if value not in ("", None)}
    if str(arguments.get("insecure", "")).lower() in {"1", "true", "yes", "on"}:
        arguments.update(insecure=True, verify=False)
    else:
        arguments.pop("insecure", None)
    return arguments
