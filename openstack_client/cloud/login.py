"""Log in. If Keystone refuses, find out which part of the credentials is wrong.

Keystone answers 401 both to a wrong password and to a wrong project. A second login without a
project tells which one it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from keystoneauth1 import exceptions as auth_errors
from keystoneauth1 import session as auth_session
from keystoneauth1.identity import v3
from keystoneclient.v3 import client as keystone_client

from openstack_client.cloud import failures
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.credentials import Source
from openstack_client.errors import CredentialsError, LauncherError
from openstack_client.names import listed, nearest

Answer = TypeVar("Answer")

# Warn before a deploy if the credential expires sooner than this.
SOON = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Identity:
    """The logged-in user and project."""

    user: str
    user_id: str
    project: str
    project_id: str
    warning: str = ""


def login(cloud: Cloud, source: Source) -> Identity:
    """Log in and return the identity. Raises CredentialsError with the cause."""
    try:
        access = cloud.request("Keystone", "log in", lambda: _access(cloud))
    except CredentialsError as error:
        cause = error.__cause__
        request = failures.read(cause).request_id if cause else ""
        raise _diagnose(cloud, source, f" (request {request})" if request else "") from error
    if not access.project_id:
        raise CredentialsError(
            "The credentials are valid, but name no project.",
            f"Set OS_PROJECT_NAME. {_list_projects(cloud)}",
        )
    return Identity(
        user=str(access.username or access.user_id),
        user_id=str(access.user_id),
        project=str(access.project_name or access.project_id),
        project_id=str(access.project_id),
        warning=_expiry_warning(cloud, access),
    )


def _access(cloud: Cloud) -> v3.base.access.AccessInfoV3:
    try:
        return cloud.session.auth.get_access(cloud.session)
    except auth_errors.NotFound as error:
        # Keystone answers 404 to an unknown token, and to a path without /v3.
        raise auth_errors.Unauthorized(message=str(error), request_id=error.request_id) from error


def _diagnose(cloud: Cloud, source: Source, tail: str) -> CredentialsError:
    auth = cloud.region.config.get("auth", {})
    kind = str(cloud.region.config.get("auth_type", "password"))
    from_where = f"credentials from {source.description}"
    if "application" in kind:
        return CredentialsError(
            f"Keystone refused the application credential{tail}; {from_where}.",
            "It may be expired or deleted, or the secret may be wrong. You can create a new one "
            "in the dashboard (Identity > Application Credentials).",
        )
    if "token" in kind:
        return CredentialsError(
            f"Keystone refused the token{tail}: it has expired or was revoked; {from_where}.",
            "Source the OpenRC file again to get a new one.",
        )
    user = auth.get("username") or auth.get("user_id")
    project = auth.get("project_name") or auth.get("project_id")
    names = _projects_of_password(cloud)
    if names is None:
        domain = auth.get("user_domain_name") or auth.get("user_domain_id") or "?"
        return CredentialsError(
            f"Keystone refused the user {user!r} (domain {domain!r}): wrong user name, password "
            f"or domain{tail}; {from_where}.",
            "Source the OpenRC file again and enter the password again. If you use single sign-on "
            "for the dashboard, use an application credential.",
        )
    guess = nearest(str(project), names)
    return CredentialsError(
        f"The password is correct, but the user {user!r} has no role in project {project!r}{tail}; "
        f"{from_where}.",
        (f"Did you mean {guess!r}? " if guess else "") + f"Your projects: {listed(names)}.",
    )


def _projects_of_password(cloud: Cloud) -> list[str] | None:
    """The user's projects, or None if a login without a project is refused too."""
    auth = cloud.region.config.get("auth", {})
    keys = ("username", "user_id", "password", "user_domain_name", "user_domain_id")
    unscoped = v3.Password(
        auth["auth_url"], unscoped=True, **{key: auth[key] for key in keys if auth.get(key)}
    )
    session = auth_session.Session(
        auth=unscoped,
        verify=cloud.session.verify,
        cert=cloud.session.cert,
        timeout=cloud.session.timeout,
    )
    client = keystone_client.Client(session=session, endpoint_override=auth["auth_url"])
    return _try(lambda: [str(project.name) for project in client.auth.projects()])


def _list_projects(cloud: Cloud) -> str:
    names = _try(lambda: [str(project.name) for project in cloud.keystone.auth.projects()])
    return f"Your projects: {listed(names)}." if names else ""


def _expiry_warning(cloud: Cloud, access: v3.base.access.AccessInfoV3) -> str:
    """A warning if the credential or token expires soon and cannot be renewed."""
    auth = cloud.region.config.get("auth", {})
    kind, moment = "", None
    if auth.get("application_credential_id"):
        kind, moment = "application credential", _credential_expiry(cloud, access)
    elif auth.get("token"):
        kind, moment = "token", access.expires
    if moment is None:
        return ""
    left = moment - dt.datetime.now(dt.UTC)
    if left > SOON:
        return ""
    minutes = int(left.total_seconds() // 60)
    return f"The {kind} expires in {minutes} minutes ({moment:%Y-%m-%d %H:%M} UTC)."


def _credential_expiry(cloud: Cloud, access: v3.base.access.AccessInfoV3) -> dt.datetime | None:
    wanted = cloud.region.config["auth"]["application_credential_id"]
    found = _try(
        lambda: cloud.keystone.application_credentials.get(wanted, user=str(access.user_id))
    )
    expiry = getattr(found, "expires_at", None)
    return dt.datetime.fromisoformat(str(expiry)).replace(tzinfo=dt.UTC) if expiry else None


def _try(call: Callable[[], Answer]) -> Answer | None:
    """Make an optional request; return None if it fails."""
    ignored: tuple[type[Exception], ...] = (*failures.API_ERRORS, LauncherError)
    try:
        return call()
    except ignored:
        return None
