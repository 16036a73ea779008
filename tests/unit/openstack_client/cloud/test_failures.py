"""The client libraries' exceptions: read and explained."""

from __future__ import annotations

import pytest
import requests
from keystoneauth1 import exceptions as auth_errors
from novaclient import exceptions as nova_errors
from openstack import exceptions as sdk_errors

from openstack_client.cloud.failures import explain, is_transient, read
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
def test_which_failures_are_retried(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


def test_the_request_id_is_shown() -> None:
    error = nova_errors.ClientException(500, "Unexpected API Error. Please report this at x.", None)
    error.request_id = "req-abc"
    shown = explain("Nova", "create the server", error, 3)
    assert isinstance(shown, CloudError)
    assert shown.request_id == "req-abc" and shown.status == 500
    assert str(shown).startswith(
        "Nova could not create the server after 3 attempts; the service is failing: "
        "Unexpected API Error (HTTP 500, request req-abc)."
    )
    assert "Please report" not in str(shown)


def test_neutrons_json_is_unpacked() -> None:
    body = (
        '{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for x.", "detail": ""}}'
    )
    shown = explain("Neutron", "create a floating IP", sdk(409, body))
    assert "quota exceeded: Quota exceeded for x (HTTP 409, request req-1)." in str(shown)
    assert "{" not in str(shown)


def test_no_addresses_left() -> None:
    shown = explain("Neutron", "create a floating IP", sdk(409, "No more IP addresses available."))
    assert "no addresses left" in str(shown)
    assert "--floating-ip ADDRESS" in shown.remedy


def test_a_refused_connection_names_the_address() -> None:
    shown = explain("Keystone", "log in", REFUSED, 6)
    assert shown.what == (
        "Keystone does not answer after 6 attempts, so it could not log in: "
        "http://127.0.0.1:1: the connection was refused."
    )
    assert "OS_AUTH_URL" in shown.remedy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "http://x:1: ('Connection aborted.', ConnectionResetError(104, 'Connection reset'))",
            "http://x:1: the connection was reset",
        ),
        ("http://x: Name or service not known", "http://x: unknown host"),
        ("http://x: Request to http://x timed out", "http://x: timed out"),
    ],
)
def test_why_a_connection_failed(text: str, message: str) -> None:
    assert read(auth_errors.ConnectFailure(text)).message == message


def test_an_untrusted_certificate() -> None:
    shown = explain("Keystone", "log in", auth_errors.SSLError("certificate verify failed"))
    assert "certificate is not trusted" in shown.what and "--os-cacert" in shown.remedy


def test_openstacksdks_message_about_a_missing_service_is_shortened() -> None:
    error = sdk_errors.ServiceDisabledException(
        "Service 'image' is disabled because its configuration could not be loaded. The service "
        "is not present in the service catalog: endpoint for image in X not found"
    )
    assert read(error).message == "endpoint for image in X not found"


def test_a_missing_service_points_to_the_region() -> None:
    error = auth_errors.EndpointNotFound("public endpoint for compute service in X not found")
    shown = explain("Nova", "list the servers", error)
    assert "the cloud has no such service" in shown.what and "--os-region-name" in shown.remedy


def test_a_refused_role() -> None:
    shown = explain(
        "Nova", "create the server", nova_errors.Forbidden(403, "Policy doesn't allow x")
    )
    assert "your roles in the project do not allow it" in shown.what
    assert "'member'" in shown.remedy


def test_401_is_about_credentials() -> None:
    shown = explain("Nova", "list the servers", nova_errors.Unauthorized(401, "x"))
    assert isinstance(shown, CredentialsError) and shown.exit_code == 3


def test_html_is_cleaned() -> None:
    error = nova_errors.ClientException(503, "<html><h1>503</h1>\n No server </html>")
    assert read(error).message == "503 No server"
