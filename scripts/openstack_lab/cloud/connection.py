"""Connections to the lab's cloud with openstacksdk."""

from __future__ import annotations

from typing import Any

from openstack_lab.lab import REGION, Lab


def connect(lab: Lab, user: str, password: str, project: str) -> Any:
    """An openstacksdk connection that ignores the caller's OS_* variables and proxies."""
    import openstack
    import requests
    from keystoneauth1 import session
    from keystoneauth1.identity import v3

    auth = v3.Password(
        auth_url=f"{lab.url('keystone')}/v3",
        username=user,
        password=password,
        project_name=project,
        user_domain_id="default",
        project_domain_id="default",
    )
    http = requests.Session()
    http.trust_env = False  # a proxy for the Internet does not reach the lab
    login = session.Session(auth=auth, session=http)
    return openstack.connection.Connection(
        session=login, region_name=REGION, identity_api_version="3"
    )


def as_admin(lab: Lab) -> Any:
    return connect(lab, "admin", lab.secrets.admin, "admin")


def as_demo(lab: Lab, project: str) -> Any:
    return connect(lab, "demo", lab.secrets.demo, project)
