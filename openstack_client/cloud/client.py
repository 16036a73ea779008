"""One login for all: a keystoneauth session and three clients that share it.

keystoneclient is used for identity, novaclient for servers, openstacksdk for images and
networks. Every request goes through `request` or `create`, which retry temporary failures
and turn the others into this package's errors.
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

# Pike (2017), the first release with the tags, descriptions and fault details used here.
NOVA_VERSION = "2.53"
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 16.0

Answer = TypeVar("Answer")


class Cloud:
    """A project in an OpenStack cloud. Logs in on first use."""

    def __init__(
        self,
        region: CloudRegion,
        *,
        timeout: int,
        retries: int,
        note: Callable[[str], None],
    ) -> None:
        # openstacksdk would silently add its own retries to those of `request`.
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

    def request(self, service: str, doing: str, call: Callable[[], Answer]) -> Answer:
        """Send an idempotent request, with retries."""
        tries = 0

        def once() -> Answer:
            nonlocal tries
            tries += 1
            return call()

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.retries + 1),
            wait=tenacity.wait_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            retry=tenacity.retry_if_exception(failures.is_transient),
            before_sleep=lambda state: self._report_retry(service, doing, state),
            reraise=True,
        )
        try:
            return retrying(once)
        except failures.API_ERRORS as error:
            raise failures.explain(service, doing, error, tries) from error

    def create(
        self,
        service: str,
        doing: str,
        send: Callable[[], Answer],
        find: Callable[[], Answer | None],
    ) -> Answer:
        """Send a request that creates something. A retry first checks whether it already exists."""
        sent = False

        def send_once() -> Answer:
            nonlocal sent
            if sent:
                found = find()
                if found is not None:
                    return found
            sent = True
            return send()

        return self.request(service, doing, send_once)

    def _report_retry(self, service: str, doing: str, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if error is None or state.next_action is None:
            return
        failure = failures.read(error)
        answered = f"answered {failure.status}" if failure.status else f"failed ({failure.message})"
        self.note(
            f"{service} {answered} (request: {doing}); retrying in "
            f"{state.next_action.sleep:.0f} s ({state.attempt_number} of {self.retries})."
        )

    def _endpoint(self) -> dict[str, Any]:
        return {
            "region_name": self.region.get_region_name(),
            "interface": self.region.get_interface() or "public",
        }


def region_of(source: Source, overrides: dict[str, Any]) -> CloudRegion:
    """The credentials as openstacksdk's configuration. They must be complete."""
    region = _read(source, overrides)
    auth = region.config.get("auth", {})
    kind = str(region.config.get("auth_type") or "")
    absent = missing_in_cloud(auth, kind) if source.kind == "clouds.yaml" else []
    if absent:
        raise CredentialsError(
            f"The credentials of {source.description} are incomplete.",
            "Add the missing values under `auth:`, or put secrets in secure.yaml beside the file.",
            problems=absent,
        )
    url = str(auth.get("auth_url", ""))
    if not url.startswith(("http://", "https://")):
        raise CredentialsError(
            f"The auth URL {url!r} is not valid (from {source.description}).",
            "It must start with https:// or http://, and usually ends in /v3.",
        )
    return region


def _read(source: Source, overrides: dict[str, Any]) -> CloudRegion:
    """Read only the chosen source: clouds.yaml and variables are never mixed."""
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
            f"The credentials of {source.description} are incomplete: {error}."
        ) from error
    except failures.API_ERRORS as error:
        reason = str(error).rstrip(".")
        raise CredentialsError(
            f"The credentials of {source.description} are not valid: {reason}."
        ) from error


def _secure(file: Path | None) -> list[str]:
    """secure.yaml next to clouds.yaml, which can hold the secrets."""
    candidates = [file.with_name(name) for name in ("secure.yaml", "secure.yml")] if file else []
    return [str(path) for path in candidates if path.is_file()]


def _as_arguments(values: Any) -> dict[str, Any]:
    arguments = {key: value for key, value in values.items() if value not in ("", None)}
    if str(arguments.get("insecure", "")).lower() in {"1", "true", "yes", "on"}:
        arguments.update(insecure=True, verify=False)
    else:
        arguments.pop("insecure", None)
    return arguments
