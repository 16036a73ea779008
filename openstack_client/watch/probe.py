"""Ready means: a real prediction came back over HTTP. This asks for one."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from openstack_client.service import HTTP_PORT, base_url

CONNECT_PATIENCE = 2.0
ANSWER_PATIENCE = 15.0


@dataclass(frozen=True)
class Probe:
    """What came back: with `ok`, `prediction` holds the answer; else `words` says what did not."""

    ok: bool
    words: str
    prediction: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    version: str = ""


def listens(address: str, port: int = HTTP_PORT) -> bool:
    """Whether anything answers there at all; soon told, even where a firewall says nothing."""
    try:
        with socket.create_connection((address, port), timeout=CONNECT_PATIENCE):
            return True
    except OSError:
        return False


class Service:
    """The HTTP side of a deployment."""

    def __init__(self, address: str, port: int = HTTP_PORT) -> None:
        self.url = base_url(address, port)
        self.session = requests.Session()
        # The launcher's own proxy settings are for the way to the cloud's API, not to the server.
        self.session.trust_env = False

    def probe(self) -> Probe:
        """Predict one row, made of the default of each feature."""
        try:
            page = self._get("/predictions")
            row = default_row(page)
            answer = self._ask("POST", "/predict", json=row)
        except requests.RequestException as error:
            return Probe(False, f"{self.url} {reason(error)}")
        except (ValueError, KeyError, TypeError) as error:
            return Probe(False, f"{self.url} does not answer as Stackserve does ({error})")
        predictions = answer.get("predictions")
        if not isinstance(predictions, list) or not predictions:
            return Probe(False, f"{self.url}/predict gave no prediction")
        return Probe(
            True,
            prediction_words(predictions[0]),
            predictions[0],
            str(answer.get("model", "")),
            str(answer.get("version", "")),
        )

    def look(self, path: str) -> Mapping[str, Any] | None:
        """A JSON page, or None when it cannot be had."""
        try:
            return self._get(path)
        except (requests.RequestException, ValueError):
            return None

    def _get(self, path: str) -> Mapping[str, Any]:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, **more: Any) -> Mapping[str, Any]:
        response = self.session.request(
            method,
            self.url + path,
            headers={"Accept": "application/json"},
            timeout=(CONNECT_PATIENCE, ANSWER_PATIENCE),
            **more,
        )
        response.raise_for_status()
        content = response.json()
        if not isinstance(content, dict):
            raise ValueError(f"{path} gave no JSON object")
        return content


def default_row(page: Mapping[str, Any]) -> dict[str, float]:
    """The row that the page's form begins with."""
    features = page["card"]["features"]
    return {str(feature["name"]): float(feature["default"]) for feature in features}


def prediction_words(prediction: Mapping[str, Any]) -> str:
    """The first answer, as a person reads it."""
    label, probability = prediction.get("label"), prediction.get("probability")
    if label is None:
        return str(prediction.get("value", prediction))
    if probability is None:
        return str(label)
    # The API gives the probability of the positive class, whichever label it says.
    sure = float(probability) if prediction.get("positive", True) else 1 - float(probability)
    return f"{label}, {sure:.0%} sure"


def reason(error: requests.RequestException) -> str:
    """Why there was no answer, in a few words."""
    text = str(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answers HTTP {error.response.status_code}"
    if isinstance(error, requests.ConnectTimeout):
        return "gives no answer (a firewall, or the server is still booting)"
    if isinstance(error, requests.Timeout):
        return f"took over {ANSWER_PATIENCE:.0f} s to answer"
    if "Connection refused" in text:
        return "refuses connections (nothing listens there yet)"
    if "No route to host" in text or "unreachable" in text:
        return "cannot be reached (no route)"
    return f"does not answer ({type(error).__name__})"
