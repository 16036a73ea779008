"""Give a server what it needs to remove its own deployment, over ssh.

The credential reaches the server this way alone: never in user data, in an argument or on the
console. It is tried before it is delivered, and the server runs the program once.
"""

from __future__ import annotations

import datetime as dt
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

from keystoneauth1 import session as auth_session
from keystoneauth1.identity import v3

from openstack_client.cloud import access_rules, failures
from openstack_client.cloud.client import Cloud
from openstack_client.deploy import credential
from openstack_client.deploy.delete import find
from openstack_client.deploy.remote import OPTIONS
from openstack_client.errors import CloudError, CredentialsError, LauncherError
from openstack_client.places import TEMPLATES
from openstack_client.plan.removal import Endpoints, Removal
from openstack_client.watch.boot import knows_host
from openstack_client.watch.ssh import SshTarget

FILES = TEMPLATES / "removal"
TIMEOUT = 120.0
INSTALL = f"sudo -n python3 -I -c {shlex.quote((FILES / 'install.py').read_text('utf-8'))}"
DESTINATIONS = {
    "remove.py": "/usr/local/lib/stackserve/remove.py",
    "expire-stackserve.service": "/etc/systemd/system/expire-stackserve.service",
    "expire-stackserve.timer": "/etc/systemd/system/expire-stackserve.timer",
}
SECRETS = "/etc/stackserve/removal.json"


def arrange(cloud: Cloud, name: str, server: str, target: SshTarget, expires: dt.datetime) -> str:
    """Let the server remove its deployment. Returns why it cannot, or an empty string."""
    if not knows_host(target.known_hosts, target.address):
        return "the console does not show its host key yet, so ssh cannot deliver the credential"
    try:
        return access_rules.why_not(cloud) or _arrange(cloud, name, server, target, expires)
    except LauncherError as error:
        return error.what.rstrip(".")


def _arrange(cloud: Cloud, name: str, server: str, target: SshTarget, expires: dt.datetime) -> str:
    removal, endpoints = plan_removal(cloud, name, server), find_endpoints(cloud)
    made, secret = credential.create(cloud, removal, endpoints, expires)
    reason = "interrupted"
    try:
        reason = refusal(cloud, removal, endpoints, made.id, secret) or deliver(
            target, files(cloud, removal, endpoints, made.id, secret)
        )
    finally:
        # A credential that was not delivered is of no use to anyone.
        if reason:
            _forget(cloud, made)
    if not reason:
        credential.sweep(cloud, keep={made.id}, server=server)
    return reason


def plan_removal(cloud: Cloud, name: str, server: str) -> Removal:
    """What the server removes: all that the deployment has now."""
    mine = find(cloud, name)
    own = next(found for found in mine.servers if found.id == server)
    return Removal(own, mine, find_shelter(cloud))


def find_endpoints(cloud: Cloud) -> Endpoints:
    """The APIs, as this login uses them."""
    region, interface = cloud.region.get_region_name(), cloud.region.get_interface() or "public"

    def of(service: str) -> str:
        url = cloud.session.get_endpoint(
            service_type=service, interface=interface, region_name=region
        )
        return str(url or "")

    return Endpoints.of(cloud.auth_url, of("compute"), of("network"))


def find_shelter(cloud: Cloud) -> str:
    """The project's default group, if it lets a server reach the APIs."""
    groups = cloud.request(
        "Neutron",
        "list the security groups",
        lambda: list(
            cloud.connection.network.security_groups(project_id=cloud.project_id, name="default")
        ),
    )
    return next((str(group.id) for group in groups if _is_open(group.security_group_rules)), "")


def _is_open(rules: list[dict[str, Any]] | None) -> bool:
    """Whether everything may go out by IPv4."""
    return any(
        rule["direction"] == "egress"
        and rule["ethertype"] == "IPv4"
        and not any(rule.get(key) for key in ("protocol", "remote_group_id", "port_range_min"))
        and rule.get("remote_ip_prefix") in {None, "0.0.0.0/0"}
        for rule in rules or []
    )


def refusal(
    cloud: Cloud, removal: Removal, endpoints: Endpoints, credential_id: str, secret: str
) -> str:
    """Why the credential does not do what it must and only that, or an empty string."""
    own = v3.ApplicationCredential(
        endpoints.identity,
        application_credential_id=credential_id,
        application_credential_secret=secret,
    )
    session = auth_session.Session(
        auth=own, verify=cloud.session.verify, timeout=cloud.session.timeout
    )
    compute, network = endpoints.compute, endpoints.network
    needed: list[tuple[str, str, str, object]] = [
        ("Nova", "GET", f"{compute}/servers/{removal.server.id}", None)
    ]
    needed += [
        (
            "Neutron",
            "PUT",
            f"{network}/ports/{port.id}",
            {"port": {"description": port.description}},
        )
        for port in removal.ports
    ]
    for service, method, url, body in needed:
        if not _allows(session, method, url, body):
            return f"{service} does not accept access rules in this cloud"
    for service, url in (("Nova", f"{compute}/servers"), ("Neutron", f"{network}/ports")):
        if _allows(session, "GET", url):
            return f"{service} does not enforce access rules in this cloud"
    return ""


def _allows(session: Any, method: str, url: str, body: object = None) -> bool:
    try:
        session.request(url, method, json=body)
    except failures.API_ERRORS as error:
        # 401 is how the middleware refuses a request that no rule allows.
        if failures.read(error).status in {401, 403}:
            return False
        raise failures.explain("The cloud", "try the new credential", error) from error
    return True


def files(
    cloud: Cloud, removal: Removal, endpoints: Endpoints, credential_id: str, secret: str
) -> dict[str, tuple[str, str]]:
    """The mode and text of each file on the server."""
    verify = cloud.session.verify
    told = removal.configuration(endpoints) | {
        "id": credential_id,
        "secret": secret,
        "verify": bool(verify),
        "ca": Path(verify).read_text("utf-8") if isinstance(verify, str) else None,
    }
    plain = {
        place: ("644", (FILES / name).read_text("utf-8")) for name, place in DESTINATIONS.items()
    }
    return {**plain, SECRETS: ("600", json.dumps(told))}


def deliver(target: SshTarget, content: dict[str, tuple[str, str]]) -> str:
    """Install the files and run the program once. Returns why that failed, or an empty string."""
    try:
        done = subprocess.run(
            target.command(INSTALL, options=OPTIONS),
            input=json.dumps(content),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"ssh could not deliver the credential ({type(error).__name__})"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    said = lines[-1].strip().rstrip(".") if lines else f"exit code {done.returncode}"
    if done.returncode == 255:
        return f"ssh could not deliver the credential: {said}"
    return f"it cannot use the cloud's API: {said}"


def _forget(cloud: Cloud, made: credential.Credential) -> None:
    try:
        credential.delete(cloud, made)
    except (CloudError, CredentialsError):
        cloud.note(f"The application credential {made.name!r} could not be deleted.")
