"""What a plan says about who may use the service, and who may listen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from openstack_client.errors import SettingsError
from openstack_client.plan.make import access, deployed_role
from openstack_client.roles import ours
from openstack_client.settings import Settings


@pytest.mark.parametrize(
    ("preset", "who"),
    [
        ("open", "everybody who reaches the service predicts"),
        ("token", "with a token only; create one with `tokens create`"),
        ("oidc", "with a token only, of the identity provider or created with `tokens create`"),
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_what_a_plan_says(preset: str, who: str, tls: bool) -> None:
    role = ours("server")
    said = access(preset, role.with_tls() if tls else role)
    assert said.startswith(who)
    assert ("TLS keeps what is sent from everybody" in said) is tls
    assert ("add --tls self" in said) is (preset != "open" and not tls)


def test_a_role_without_tls_is_not_told_to_use_it() -> None:
    role = ours("server").model_copy(update={"tls": None})
    assert "There is no TLS" in access("oidc", role) and "--tls" not in access("oidc", role)


def test_a_role_that_lacks_the_packages_of_oidc_is_refused(tmp_path: Path) -> None:
    def settings(role: str, access: str) -> Settings:
        return Settings.model_validate({"access": access, "role": role})

    assert deployed_role(settings("server", "oidc")).name == "server"
    assert deployed_role(settings("docker", "oidc")).name == "docker"
    own = tmp_path / "own"
    shutil.copytree(ours("docker").folder, own)
    text = (own / "role.toml").read_text()
    (own / "role.toml").write_text(text.replace("containers = true\n", ""))
    assert deployed_role(settings(str(own), "token")).name == "own"
    with pytest.raises(SettingsError, match="the role own does not install what that needs"):
        deployed_role(settings(str(own), "oidc"))
