"""Writes the lab's config files from templates, if they have changed."""

from __future__ import annotations

import shutil
from pathlib import Path

from openstack_lab.lab import FAKE_HOST, HOST, Lab, write_private
from openstack_lab.layout import TEMPLATES
from openstack_lab.services.database import DATABASES

# Folder in config/ -> its files, each from the template of the same name.
FILES = {
    "system": ("hosts", "resolv.conf"),
    "mysql": ("mariadb.cnf", "init.sql"),
    "rabbitmq": ("rabbitmq.conf", "enabled_plugins"),
    "keystone": ("keystone.conf",),
    "glance": ("glance-api.conf",),
    "placement": ("placement.conf",),
    "neutron": (
        "neutron.conf",
        "ml2_conf.ini",
        "openvswitch_agent.ini",
        "dhcp_agent.ini",
        "l3_agent.ini",
        "metadata_agent.ini",
    ),
    "nova": ("nova.conf",),
    "nova-compute-qemu": ("nova-compute.conf",),
    "nova-compute-fake": ("nova-compute.conf",),
    "libvirt": ("libvirtd.conf", "qemu.conf"),
}
# Files from the Python packages, copied as they are.
SHIPPED = {
    "glance": ("glance/glance-api-paste.ini",),
    "neutron": ("neutron/api-paste.ini",),
    "nova": ("nova/api-paste.ini",),
}
# Folder -> the user of its daemon, if that is not root.
OWNERS = {"mysql": "mysql", "rabbitmq": "rabbitmq"}
# Without secrets, and readable for every process that resolves names.
PUBLIC = ("system",)
DATA_FOLDERS = (
    "glance/images",
    "glance/staging",
    "glance/tasks",
    "glance/lock",
    "keystone",
    "neutron/lock",
    "nova/instances",
    "nova/lock-lab",
    "nova-lab-fake",
    "nova/lock-lab-fake",
    "done",
)


def render_all(lab: Lab) -> None:
    """Update the config folder."""
    import jinja2

    layout = lab.layout
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    for name in DATA_FOLDERS:
        (layout.state / name).mkdir(parents=True, exist_ok=True)
    for folder, files in FILES.items():
        for file in files:
            text = templates.get_template(f"{file}.j2").render(
                lab=lab,
                conf=str(layout.config),
                data=str(layout.state),
                venv=str(layout.venv),
                databases=DATABASES,
                host=FAKE_HOST if folder.endswith("-fake") else HOST,
            )
            write_private(layout.conf(folder) / file, text)
        for source in SHIPPED.get(folder, ()):
            origin = layout.venv / "etc" / source
            write_private(layout.conf(folder) / origin.name, origin.read_text())
        _set_owner(layout.conf(folder), OWNERS.get(folder, "root"), folder in PUBLIC)
    libvirt = layout.data("system") / "etc-libvirt"
    libvirt.mkdir(parents=True, exist_ok=True)
    shutil.copy(layout.conf("libvirt") / "qemu.conf", libvirt / "qemu.conf")


def _set_owner(folder: Path, owner: str, public: bool) -> None:
    folder.chmod(0o755 if public else 0o700)
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, owner, owner)
        if public and path.is_file():
            path.chmod(0o644)
