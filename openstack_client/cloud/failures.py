"""Read the three client libraries' exceptions: is it worth another try, and how to say it.

keystoneauth, novaclient and openstacksdk each have an exception tree of their own; here
they become one `Failure` value, and that becomes one of this package's errors.
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
# Conflicts that stay however often one asks; the others end by themselves.
FINAL_CONFLICT = re.compile(
    r"quota|already exists|already has|no more ip|exhausted|overlap|invalid", re.IGNORECASE
)
NO_ADDRESSES = re.compile(r"no more ip|exhausted", re.IGNORECASE)
REPORT_TO_NOVA = re.compile(r"\s*Please report this at.*", re.DOTALL)


@dataclass(frozen=True)
class Failure:
    """What came back: `status` 0 means that no answer came at all."""

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
        """The part that an administrator of the cloud will ask for."""
        parts = [f"HTTP {self.status}"] if self.status else []
        parts += [f"request {self.request_id}"] if self.request_id else []
        return f" ({', '.join(parts)})" if parts else ""


def read(error: BaseException) -> Failure:
    """The failure in an exception of any of the libraries."""
    if isinstance(error, nova_errors.ClientException):
        return Failure(int(error.code or 0), _clean(str(error.message)), error.request_id or "")
    if isinstance(error, sdk_errors.HttpException):
        body = error.details or error.message
        return Failure(int(error.status_code or 0), _clean(str(body)), error.request_id or "")
    if isinstance(error, auth_errors.HttpError):
        return Failure(error.http_status, _clean(str(error.message)), error.request_id or "")
    kind = next((word for types, word in KINDS if isinstance(error, types)), "other")
    if kind == "endpoint":
        text = str(error)
        return Failure(0, _clean(text.rsplit("service catalog: ", 1)[-1]), kind=kind)
    words = _reason(str(error)) if kind == "connection" else _clean(str(error))
    return Failure(0, words, kind=kind)


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help."""
    return isinstance(error, API_ERRORS) and read(error).transient


def in_words(service: str, doing: str, error: BaseException, tries: int = 1) -> LauncherError:
    """The error a person gets. `doing` completes 'could not ...'."""
    failure = read(error)
    if failure.status == 401:
        return CredentialsError(
            f"Keystone refused the credentials while trying to {doing}{failure.tail}.",
            "Source the OpenRC file again: a token or password may have expired.",
        )
    what, remedy = _explained(service, doing, failure, tries)
    return CloudError(what, remedy, status=failure.status, request_id=failure.request_id)


def _explained(service: str, doing: str, failure: Failure, tries: int) -> tuple[str, str]:
    often = f" after {tries} tries" if tries > 1 else ""
    if failure.status == 0:
        return _unanswered(service, doing, failure, often)
    begin = f"{service} could not {doing}"
    said = f"{failure.message}{failure.tail}."
    if failure.status >= 500 or failure.status == 429:
        return (
            f"{begin}{often}: it is out of order: {said}",
            "Run the same command again later; give the request number to the cloud's operators.",
        )
    if "quota" in failure.message.lower():
        remedy = "Delete what is not needed, or ask the cloud's operators for more."
        return f"{begin}: the quota does not allow it: {said}", remedy
    if NO_ADDRESSES.search(failure.message):
        return (
            f"{begin}: all its addresses are used up: {said}",
            "Give a free one with --floating-ip ADDRESS, or another --external-network.",
        )
    if failure.status == 403:
        return (
            f"{begin}: your roles in the project do not allow it: {said}",
            "Ask for the role 'member' in the project.",
        )
    return f"{begin}: {said}", ""


def _unanswered(service: str, doing: str, failure: Failure, often: str) -> tuple[str, str]:
    if failure.kind == "certificate":
        return (
            f"{service} could not {doing}: its certificate is not trusted: {failure.message}.",
            "Name the cloud's certificate authority with --os-cacert FILE or OS_CACERT.",
        )
    if failure.kind == "endpoint":
        return (
            f"{service} could not {doing}: the cloud offers no such service here: "
            f"{failure.message}.",
            "Check the region (--os-region-name) and the interface (--os-interface).",
        )
    if failure.kind in {"connection", "discovery"}:
        return (
            f"{service} does not answer{often}, so it could not {doing}: {failure.message}.",
            "Check OS_AUTH_URL, the network and the VPN, and the cloud's status page; "
            "then run the same command again.",
        )
    return f"{service} could not {doing}: {failure.message}.", ""


def _clean(message: str) -> str:
    """One line, without the JSON, HTML and courtesies around the message."""
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
    """The address and the cause, out of requests' nested wording."""
    address = re.search(r"https?://[^\s:/]+(?::\d+)?", text)
    where = address.group(0) if address else "its address"
    causes = {
        "Connection refused": "the connection was refused",
        "Connection reset": "the connection was reset",
        "RemoteDisconnected": "it closed the connection without an answer",
        "Connection aborted": "the connection broke off",
        "Name or service not known": "there is no host of that name",
        "Temporary failure in name resolution": "host names cannot be looked up",
        "No route to host": "there is no route to it",
        "Network is unreachable": "there is no network to it",
        "timed out": "no answer came in time",
        "Timed out": "no answer came in time",
    }
    for sign, words in causes.items():
        if sign in text:
            return f"{where}: {words}"
    return _clean(text)
