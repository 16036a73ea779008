"""Writes the OpenRC files and the clouds.yaml of the lab's users."""

from __future__ import annotations

import os
from pathlib import Path

from openstack_lab.lab import REGION, Lab, write_private
from openstack_lab.mirrors import FILE as SETTINGS_FILE
from openstack_lab.settings import invoking_user

DEMO = "demo"
FAKE_PROJECT = "demo-fake"


def identities(lab: Lab) -> dict[str, tuple[str, str, str]]:
    """Cloud name -> user, password, project. With both hypervisors, the project selects one."""
    clouds = {
        "lab": ("demo", lab.secrets.demo, DEMO),
        "lab-admin": ("admin", lab.secrets.admin, "admin"),
    }
    if lab.choices.hypervisor.fake:
        clouds["lab-fake"] = ("demo", lab.secrets.demo, FAKE_PROJECT)
    return clouds


def openrc(lab: Lab, user: str, password: str, project: str) -> str:
    """An OpenRC file with the variables of the one that a cloud's dashboard offers."""
    values = {
        "OS_AUTH_URL": f"{lab.url('keystone')}/v3",
        "OS_PROJECT_NAME": project,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_USERNAME": user,
        "OS_PASSWORD": password,
        "OS_REGION_NAME": REGION,
        "OS_INTERFACE": "public",
        "OS_IDENTITY_API_VERSION": "3",
    }
    lines = [f"# The lab's project {project} as {user}: source this file."]
    lines += ["unset OS_CLOUD OS_TOKEN OS_PROJECT_ID OS_TENANT_NAME OS_TENANT_ID OS_AUTH_TYPE"]
    lines += [f'export {name}="{value}"' for name, value in values.items()]
    # The launcher finds this file beside clouds.yaml; an OpenRC file has to name it.
    lines += [f'export STACKSERVE_DEPLOY_SETTINGS="{lab.layout.folder / SETTINGS_FILE}"']
    # A proxy for the Internet does not reach the lab.
    lines += [
        f'export {name}="${{{name}:+${name},}}{lab.api}"' for name in ("no_proxy", "NO_PROXY")
    ]
    return "\n".join(lines) + "\n"


def clouds_yaml(lab: Lab) -> str:
    lines = ["clouds:"]
    for cloud, (user, password, project) in identities(lab).items():
        lines += [
            f"  {cloud}:",
            "    auth:",
            f"      auth_url: {lab.url('keystone')}/v3",
            f"      username: {user}",
            f"      password: {password}",
            f"      project_name: {project}",
            "      user_domain_name: Default",
            "      project_domain_name: Default",
            f"    region_name: {REGION}",
            "    identity_api_version: 3",
            "    interface: public",
        ]
    return "\n".join(lines) + "\n"


def write_all(lab: Lab) -> dict[str, Path]:
    """Write all files. Returns cloud name -> its OpenRC file."""
    folder = lab.layout.folder
    write_private(folder / "clouds.yaml", clouds_yaml(lab))
    files = {}
    for cloud, (user, password, project) in identities(lab).items():
        name = {"lab": "demo", "lab-admin": "admin", "lab-fake": "demo-fake"}[cloud]
        files[cloud] = folder / f"{name}-openrc.sh"
        write_private(files[cloud], openrc(lab, user, password, project))
    return files


def give_to_user(folder: Path) -> None:
    """Make the files readable for the user that ran `sudo scripts/lab up`."""
    owner = invoking_user()
    if owner is None:
        return
    for path in (*folder.glob("*-openrc.sh"), folder / "clouds.yaml", folder / "deployment.toml"):
        os.chown(path, *owner)
