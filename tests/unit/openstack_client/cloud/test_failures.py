"""The three libraries' exceptions, read and told."""

from __future__ import annotations

import pytest
import requests
from keystoneauth1 import exceptions as auth_errors
from novaclient import exceptions as nova_errors
from openstack import exceptions as sdk_errors

from openstack_client.cloud.failures import in_words, is_transient, read
from openstack_client.errors import CloudError, CredentialsError


def sdk(status: int, body: str, request: str = "req-1") -> sdk_errors.HttpException:
    response = requests.Response()
    response.status_code = status
    response.headers["x-openstack-request-id"] = request
    return sdk_errors.HttpException("Error", response=response, details=body)


REFUSED = auth_errors.ConnectFailure(
    "Unable to establish connection to http://127.0.0.1:1/v3: HTTPConnectionPool(host=..): Max "
    "retries exceeded (Caused by NewConnectionError(Connection refused))"
)


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (nova_errors.ClientException(500, "x"), True),
        (nova_errors.ClientException(503, "x"), True),
        (nova_errors.ClientException(429, "x"), True),
        (nova_errors.ClientException(501, "x"), False),
        (nova_errors.BadRequest(400, "x"), False),
        (nova_errors.Forbidden(403, "Quota exceeded for cores"), False),
        (nova_errors.Conflict(409, "Cannot delete while it is in task_state spawning"), True),
        (nova_errors.Conflict(409, "Key pair 'x' already exists."), False),
        (sdk(409, "Security group x in use."), True),
        (sdk(409, "Quota exceeded for resources: ['floatingip']."), False),
        (sdk(409, "No more IP addresses available on network x."), False),
        (sdk(502, "x"), True),
        (REFUSED, True),
        (auth_errors.ConnectTimeout("timed out"), True),
        (auth_errors.SSLError("bad"), False),
        (auth_errors.Unauthorized("x"), False),
        (ValueError("x"), False),
    ],
)
def test_what_is_worth_another_try(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


def test_the_request_id_is_told() -> None:
    error = nova_errors.ClientException(500, "Unexpected API Error. Please report this at x.", None)
    error.request_id = "req-abc"
    told = in_words("Nova", "make the server", error, 3)
    assert isinstance(told, CloudError)
    assert told.request_id == "req-abc" and told.status == 500
    assert str(told).startswith(
        "Nova could not make the server after 3 tries: it is out of order: Unexpected API Error "
        "(HTTP 500, request req-abc)."
    )
    assert "Please report" not in str(told)


def test_neutrons_json_is_opened() -> None:
    body = (
        '{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for x.", "detail": ""}}'
    )
    told = in_words("Neutron", "give a floating IP", sdk(409, body))
    assert "the quota does not allow it: Quota exceeded for x (HTTP 409, request req-1)." in str(
        told
    )
    assert "{" not in str(told)


def test_addresses_used_up() -> None:
    told = in_words("Neutron", "give a floating IP", sdk(409, "No more IP addresses available."))
    assert "all its addresses are used up" in str(told)
    assert "--floating-ip ADDRESS" in told.remedy


def test_a_refused_connection_names_the_address() -> None:
    told = in_words("Keystone", "log in", REFUSED, 6)
    assert told.what == (
        "Keystone does not answer after 6 tries, so it could not log in: "
        "http://127.0.0.1:1: the connection was refused."
    )
    assert "OS_AUTH_URL" in told.remedy


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "http://x:1: ('Connection aborted.', ConnectionResetError(104, 'Connection reset'))",
            "http://x:1: the connection was reset",
        ),
        ("http://x: Name or service not known", "http://x: there is no host of that name"),
        ("http://x: Request to http://x timed out", "http://x: no answer came in time"),
    ],
)
def test_why_a_connection_failed(text: str, words: str) -> None:
    assert read(auth_errors.ConnectFailure(text)).message == words


def test_an_untrusted_certificate() -> None:
    told = in_words("Keystone", "log in", auth_errors.SSLError("certificate verify failed"))
    assert "certificate is not trusted" in told.what and "--os-cacert" in told.remedy


def test_openstacksdks_words_for_a_missing_service_are_shortened() -> None:
    error = sdk_errors.ServiceDisabledException(
        "Service 'image' is disabled because its configuration could not be loaded. The service "
        "is not present in the service catalog: endpoint for image in X not found"
    )
    assert read(error).message == "endpoint for image in X not found"


def test_a_missing_service_points_to_the_region() -> None:
    error = auth_errors.EndpointNotFound("public endpoint for compute service in X not found")
    told = in_words("Nova", "list the servers", error)
    assert "no such service here" in told.what and "--os-region-name" in told.remedy


def test_a_refused_role() -> None:
    told = in_words("Nova", "make the server", nova_errors.Forbidden(403, "Policy doesn't allow x"))
    assert "your roles in the project do not allow it" in told.what
    assert "'member'" in told.remedy


def test_401_is_about_credentials() -> None:
    told = in_words("Nova", "list the servers", nova_errors.Unauthorized(401, "x"))
    assert isinstance(told, CredentialsError) and told.exit_code == 3


def test_html_is_cleaned() -> None:
    error = nova_errors.ClientException(503, "<html><h1>503</h1>\n No server </html>")
    assert read(error).message == "503 No server"
