"""User data: from settings and the code on disk to the bytes that cloud-init runs.

    context = UserDataContext(name="demo", code=read_code(IMPORT_FOLDER))
    user_data = render(context)     # .data .text .payload .code_hash .size

Pure, except for read_code and read_model, which read files, and cloud_init_schema, which runs
cloud-init if installed.
"""

from openstack_client.userdata.checks import (
    NOVA_LIMIT,
    SIZE_GOAL,
    check_cloud_config,
    cloud_init_schema,
)
from openstack_client.userdata.context import (
    CarriedFile,
    UserData,
    UserDataContext,
)
from openstack_client.userdata.payload import code_hash, lock_file, pack, read_code, read_model
from openstack_client.userdata.render import render, role_files, steps_in_image, template_files

__all__ = [
    "NOVA_LIMIT",
    "SIZE_GOAL",
    "CarriedFile",
    "UserData",
    "UserDataContext",
    "check_cloud_config",
    "cloud_init_schema",
    "code_hash",
    "lock_file",
    "pack",
    "read_code",
    "read_model",
    "render",
    "role_files",
    "steps_in_image",
    "template_files",
]
