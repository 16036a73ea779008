"""Whether this login can create application credentials with access rules."""

from __future__ import annotations

from openstack_client.cloud.client import Cloud
from openstack_client.errors import CloudError


def why_not(cloud: Cloud) -> str:
    """Why it cannot, or an empty string."""
    access = cloud.session.auth.get_access(cloud.session)
    if access.application_credential_id and access.application_credential.get("restricted", True):
        return "you logged in with an application credential, which may not create another"
    rules = cloud.keystone.access_rules
    try:
        cloud.request("Keystone", "list your access rules", lambda: rules.list(user=access.user_id))
    except CloudError as error:
        if error.status == 404:
            return "this cloud's Keystone has no access rules, because it is older than Train"
        return error.what.rstrip(".")
    return ""
