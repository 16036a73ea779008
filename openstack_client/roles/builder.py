"""The machine that `bake` saves as an image for a role."""

from __future__ import annotations

from openstack_client.errors import SettingsError
from openstack_client.roles.model import CLEAN, Ask, Ready, Role, Step
from openstack_client.roles.read import FILE, ours

FORGET = Step(program="steps/forget.sh", limit=900, needs_stamps=True)


def builder(role: Role) -> Role:
    """The role of that machine. Raises SettingsError if the role starts from no baked image.

    Roles with our code share the role `image`. For another role it runs those steps that are marked
    `in_image`, forgets what is specific to the machine, and switches itself off.
    """
    if not role.baked_image:
        raise SettingsError(
            f"Role {role.name!r} does not start from a baked image.",
            f"Set `baked_image = true` in {role.folder / FILE}. docs/roles.md says what the image "
            "then holds.",
        )
    if role.code:
        return ours("image")
    kept = {name: step for name, step in role.steps.items() if step.in_image}
    forget = FORGET.model_copy(update={"after": tuple(kept)})
    changed = {
        "baked_image": False,
        "steps": kept | {CLEAN: forget},
        "ready": Ready(ask=Ask.OFF),
        "units": {},
        "workers": None,
        "data": "",
    }
    return role.model_copy(update=changed)
