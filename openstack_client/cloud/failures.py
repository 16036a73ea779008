"""Translate the client libraries' exceptions: decide whether to retry, and explain the failure.

keystoneauth, novaclient and openstacksdk each have their own exceptions. This module turns
them into a `Failure` value, and that into one of this package's errors.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from keystoneauth1 import exceptions as auth_errors
from novaclient import exceptions as nova_errors
from openstack import exceptions as sdk_errors

from openstack_client.errors import CloudError, CredentialsError, LauncherError

API_ERRORS: tuple[type[Exception], ...] = (
    auth_errors.ClientException,
    nova_errors.ClientException,
    sdk_errors.SDKException,
)
KINDS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((auth_errors.SSLError,), "certificate"),
    ((auth_errors.ConnectionError,), "connection"),
    ((auth_errors.DiscoveryFailure,), "discovery"),
    (
        (
            auth_errors.EndpointNotFound,
            auth_errors.EmptyCatalog,
            sdk_errors.ServiceDisabledException,
        ),
        "endpoint",
    ),
)
AGAIN = {429, 500, 502, 503, 504}
# Permanent conflicts. Other conflicts resolve themselves.
FINAL_CONFLICT = re.compile(
    r"quota|already exists|already has|no more ip|exhausted|overlap|invalid", re.IGNORECASE
)
NO_ADDRESSES = re.compile(r"no more ip|exhausted", re.IGNORECASE)
REPORT_TO_NOVA = re.compile(r"\s*Please report this at.*", re.DOTALL)


@dataclass(frozen=True)
class Failure:
    """A failed request. `status` is 0 if there was no response."""

    status: int
    message: str
    request_id: str = ""
    kind: str = ""

    @property
    def transient(self) -> bool:
        if self.status == 0:
            return self.kind == "connection"
        if self.status == 409:
            return not FINAL_CONFLICT.search(self.message)
        return self.status in AGAIN

    @property
    def tail(self) -> str:
        """The status and request id, which the cloud's operators will ask for."""
        parts = [f"HTTP {self.status}"] if self.status else []
        parts += [f"request {self.request_id}"] if self.request_id else []
        return f" ({', '.join(parts)})" if parts else ""


def read(error: BaseException) -> Failure:
    """Read an exception of any of the libraries."""
    if isinstance(error, nova_errors.ClientException):
        return Failure(int(error.code or 0), _clean(str(error.message)), error.request_id or "")
    if isinstance(error, sdk_errors.HttpException):
        body = error.details or error.message
        return Failure(int(error.status_code or 0), _clean(str(body)), error.request_id or "")
    if isinstance(error, auth_errors.HttpError):
        return Failure(error.http_status, _clean(str(error.message)), error.request_id or "")
    kind = next((name for types, name in KINDS if isinstance(error, types)), "other")
    if kind == "endpoint":
        text = str(error)
        return Failure(0, _clean(text.rsplit("service catalog: ", 1)[-1]), kind=kind)
    message = _reason(str(error)) if kind == "connection" else _clean(str(error))
    return Failure(0, message, kind=kind)


def is_transient(error: BaseException) -> bool:
    """Whether a retry may help."""
    return isinstance(error, API_ERRORS) and read(error).transient


def explain(service: str, doing: str, error: BaseException, attempts: int = 1) -> LauncherError:
    """The error to report. `doing` completes 'could not ...'."""
    failure = read(error)
    if failure.status == 401:
        return CredentialsError(
            f"Keystone refused the credentials while trying to {doing}{failure.tail}.",
            "Source the OpenRC file again: a token or password may have expired.",
        )
    what, remedy = _describe(service, doing, failure, attempts)
    return CloudError(what, remedy, status=failure.status, request_id=failure.request_id)


def _describe(service: str, doing: str, failure: Failure, attempts: int) -> tuple[str, str]:
    after = f" after {attempts} attempts" if attempts > 1 else ""
    if failure.status == 0:
        return _describe_no_answer(service, doing, failure, after)
    begin = f"{service} could not {doing}"
    reply = f"{failure.message}{failure.tail}."
    if failure.status >= 500 or failure.status == 429:
        return (
            f"{begin}{after}; the service is failing: {reply}",
            "Run the command again later, or send the request id to the cloud's operators.",
        )
    if "quota" in failure.message.lower():
        remedy = "Delete unused resources, or ask the cloud's operators for a higher quota."
        return f"{begin}: quota exceeded: {reply}", remedy
    if NO_ADDRESSES.search(failure.message):
        return (
            f"{begin}: no addresses left: {reply}",
            "Use a free one with --floating-ip ADDRESS, or another --external-network.",
        )
    if failure.status == 403:
        return (
            f"{begin}: your roles in the project do not allow it: {reply}",
            "Ask the project's administrator for the role 'member'.",
        )
    return f"{begin}: {reply}", ""


def _describe_no_answer(service: str, doing: str, failure: Failure, after: str) -> tuple[str, str]:
    if failure.kind == "certificate":
        return (
            f"{service} could not {doing}: its certificate is not trusted: {failure.message}.",
            "Set the cloud's CA certificate with --os-cacert FILE or OS_CACERT.",
        )
    if failure.kind == "endpoint":
        return (
            f"{service} could not {doing}: the cloud has no such service: {failure.message}.",
            "Check the region (--os-region-name) and the interface (--os-interface).",
        )
    if failure.kind in {"connection", "discovery"}:
        return (
            f"{service} does not answer{after}, so it could not {doing}: {failure.message}.",
            "Check OS_AUTH_URL, your network and VPN, and the cloud's status page. "
            "Then run the command again.",
        )
    return f"{service} could not {doing}: {failure.message}.", ""


def _clean(message: str) -> str:
    """The message on one line, without JSON, HTML and boilerplate."""
    text = message.strip()
    if text.startswith("{"):
        text = _from_json(text) or text
    text = re.sub(r"<[^>]+>", " ", text)
    text = REPORT_TO_NOVA.sub("", text)
    text = re.sub(r"\s*\(HTTP \d+\)|\s*\(Request-ID: [^)]*\)", "", text)
    return re.sub(r"\s+", " ", text).strip().rstrip(".")


def _from_json(text: str) -> str | None:
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        return None
    while isinstance(content, dict):
        content = content.get("message") or next(iter(content.values()), None)
    return content if isinstance(content, str) else None


def _reason(text: str) -> str:
    """The address and the cause, extracted from a nested error message of requests."""
    address = re.search(r"https?://[^\s:/]+(?::\d+)?", text)
    where = address.group(0) if address else "its address"
    causes = {
        "Connection refused": "the connection was refused",
        "Connection reset": "the connection was reset",
        "RemoteDisconnected": "the connection was closed without a response",
        "Connection aborted": "the connection was aborted",
        "Name or service not known": "unknown host",
        "Temporary failure in name resolution": "host names cannot be resolved",
        "No route to host": "no route to host",
        "Network is unreachable": "network unreachable",
        "timed out": "timed out",
        "Timed out": "timed out",
    }
    for pattern, cause in causes.items():
        if pattern in text:
            return f"{where}: {cause}"
    return _clean(text)
