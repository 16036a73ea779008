"""Check over HTTP whether a server is ready, by requesting a real prediction or a page.

What the server itself checks for /ready is in production_server/web/operations.py:readiness.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from openstack_client.service import HTTP_PORT, base_url
from openstack_client.watch.trust import ByAuthority, ByCertificate

CONNECT_TIMEOUT = 2.0
READ_TIMEOUT = 15.0


@dataclass(frozen=True)
class Probe:
    """The result of a check. `summary` is the prediction if `ok`, or else the failure."""

    ok: bool
    summary: str
    prediction: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    version: str = ""


class Service:
    """The HTTP side of a deployment."""

    def __init__(
        self, address: str, port: int = HTTP_PORT, name: str = "", *, tls: bool = False
    ) -> None:
        self.url = base_url(address, port, tls=tls)
        # What messages call it: the URL that is used here may be one end of a tunnel.
        self.name = name or self.url
        self.session = requests.Session()
        # This machine's proxy settings are for the cloud's API, not for the server.
        self.session.trust_env = False
        if tls:
            self.session.mount("https://", ByAuthority())
        # Why its certificate cannot be verified yet; empty if it can, or without TLS.
        self.untrusted = "has no authority that is known here" if tls else ""

    def trust(self, authority: Path) -> None:
        """Accept the certificates of this authority, and no other."""
        self.session.verify = str(authority)
        self.untrusted = ""

    def pin(self, fingerprint: str) -> None:
        """Accept the certificate with this fingerprint, and no other."""
        self.session.verify = False
        self.session.mount("https://", ByCertificate(fingerprint))
        self.untrusted = ""

    def probe(self) -> Probe:
        """Request a prediction for one row, with each feature's default."""
        if self.untrusted:
            return Probe(False, f"{self.name} {self.untrusted}")
        try:
            page = self._get("/predictions")
            row = default_row(page)
            answer = self._request("POST", "/predict", json=row)
        except requests.RequestException as error:
            if status_of(error) == requests.codes.unauthorized:
                return self._without_token()
            return Probe(False, f"{self.name} {reason(error)}")
        except (ValueError, KeyError, TypeError) as error:
            return Probe(False, f"{self.name} does not answer like Stackserve ({error})")
        predictions = answer.get("predictions")
        if not isinstance(predictions, list) or not predictions:
            return Probe(False, f"{self.name}/predict returned no prediction")
        return Probe(
            True,
            describe_prediction(predictions[0]),
            predictions[0],
            str(answer.get("model", "")),
            str(answer.get("version", "")),
        )

    def _without_token(self) -> Probe:
        """Ask for readiness instead: the server itself then requests a prediction."""
        try:
            ready = self._get("/ready")
        except (requests.RequestException, ValueError) as error:
            why = reason(error) if isinstance(error, requests.RequestException) else str(error)
            return Probe(False, f"{self.name} {why}")
        model, version = str(ready.get("model", "")), str(ready.get("version", ""))
        return Probe(True, "made by the server itself; others need a token", {}, model, version)

    def page(self, path: str) -> Probe:
        """Request a page. It may redirect elsewhere, but must not be an error."""
        try:
            response = self.session.get(
                self.url + path,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                allow_redirects=False,
                stream=True,
            )
            with response:
                response.raise_for_status()
        except requests.RequestException as error:
            return Probe(False, f"{self.name} {reason(error)}")
        return Probe(True, f"{self.name}{path} answers HTTP {response.status_code}")

    def get_json(self, path: str) -> Mapping[str, Any] | None:
        """A page as JSON, or None if the request fails."""
        try:
            return None if self.untrusted else self._get(path)
        except (requests.RequestException, ValueError):
            return None

    def not_ready(self) -> Mapping[str, Any]:
        """The problem that /ready reports; empty if there is none, or no answer."""
        if self.untrusted:
            return {}
        try:
            response = self._send("GET", "/ready")
            content = {} if response.ok else response.json()
        except (requests.RequestException, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _get(self, path: str) -> Mapping[str, Any]:
        return self._request("GET", path)

    def _request(self, method: str, path: str, **more: Any) -> Mapping[str, Any]:
        response = self._send(method, path, **more)
        response.raise_for_status()
        content = response.json()
        if not isinstance(content, dict):
            raise ValueError(f"{path} did not return a JSON object")
        return content

    def _send(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.session.request(
            method,
            self.url + path,
            headers={"Accept": "application/json"},
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            **more,
        )


def default_row(page: Mapping[str, Any]) -> dict[str, float]:
    """The default values of the page's form."""
    features = page["card"]["features"]
    return {str(feature["name"]): float(feature["default"]) for feature in features}


def describe_prediction(prediction: Mapping[str, Any]) -> str:
    """A prediction as text."""
    label, probability = prediction.get("label"), prediction.get("probability")
    if label is None:
        return str(prediction.get("value", prediction))
    if probability is None:
        return str(label)
    # The API returns the probability of the positive class, whatever the label.
    sure = float(probability) if prediction.get("positive", True) else 1 - float(probability)
    return f"{label}, {sure:.0%} sure"


def status_of(error: requests.RequestException) -> int | None:
    return None if error.response is None else error.response.status_code


def reason(error: requests.RequestException) -> str:
    """Why a request failed, in a few words."""
    text = str(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        detail = _detail(error.response)
        return f"answers HTTP {error.response.status_code}{': ' if detail else ''}{detail}"
    if isinstance(error, requests.ConnectTimeout):
        return "does not answer (a firewall, or the server is still booting)"
    if isinstance(error, requests.Timeout):
        return f"took over {READ_TIMEOUT:.0f} s to answer"
    if "Fingerprints did not match" in text:
        return "shows another certificate than the one that was delivered to it"
    if isinstance(error, requests.exceptions.SSLError):
        return "shows a certificate that its authority did not sign"
    return _no_connection(text) or f"does not answer ({type(error).__name__})"


def _no_connection(text: str) -> str:
    if "Connection refused" in text:
        return "refuses connections (nothing is listening yet)"
    unreachable = "No route to host" in text or "unreachable" in text
    return "is unreachable (no route)" if unreachable else ""


def _detail(response: requests.Response) -> str:
    """What the problem document of an answer says, if it is one."""
    try:
        content = response.json()
    except ValueError:
        return ""
    return str(content.get("detail", "")).rstrip(".") if isinstance(content, dict) else ""
