"""Which credentials are used, and how incomplete ones are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from openstack_client.cloud import credentials
from openstack_client.cloud.client import region_of
from openstack_client.errors import CredentialsError

OPENRC = {
    "OS_AUTH_URL": "http://127.0.0.1:5000/v3",
    "OS_USERNAME": "demo",
    "OS_PASSWORD": "secret",
    "OS_PROJECT_NAME": "demo",
    "OS_USER_DOMAIN_NAME": "Default",
    "OS_PROJECT_DOMAIN_ID": "default",
    "OS_REGION_NAME": "RegionOne",
    "OS_INTERFACE": "public",
    "OS_IDENTITY_API_VERSION": "3",
}
CLOUDS = """
clouds:
  lab:
    auth: {auth_url: "http://127.0.0.1:5000/v3", username: u, password: p, project_name: d,
           user_domain_name: Default, project_domain_name: Default}
    region_name: Lab
"""


def clouds(folder: Path, text: str = CLOUDS) -> Path:
    path = folder / "clouds.yaml"
    path.write_text(text)
    return path


def find(
    env: dict[str, str], folder: Path, os_cloud: str | None = None
) -> credentials.Source | None:
    return credentials.find({"HOME": str(folder / "home"), **env}, os_cloud, folder, {})


def without(*names: str) -> dict[str, str]:
    return {key: value for key, value in OPENRC.items() if key not in names}


def test_without_variables_there_is_no_cloud(tmp_path: Path) -> None:
    assert find({}, tmp_path) is None


def test_unrelated_variables_select_no_cloud(tmp_path: Path) -> None:
    assert find({"OS_REGION_NAME": "x", "OS_CACERT": "/x"}, tmp_path) is None


def test_a_sourced_openrc_is_used(tmp_path: Path) -> None:
    source = find(OPENRC, tmp_path)
    assert source is not None and source.kind == "environment"
    config = region_of(source, {}).config
    assert config["auth"]["password"] == "secret"
    assert config["auth"]["project_domain_id"] == "default"
    assert config["region_name"] == "RegionOne"


def test_os_cloud_wins_and_lists_ignored_variables(tmp_path: Path) -> None:
    clouds(tmp_path)
    source = find({**OPENRC, "OS_CLOUD": "lab"}, tmp_path)
    assert source is not None and source.kind == "clouds.yaml"
    assert "OS_CLOUD" in source.description and "OS_PASSWORD" in source.ignored
    config = region_of(source, {}).config
    assert config["auth"]["username"] == "u" and config["region_name"] == "Lab"


def test_the_flag_wins_over_os_cloud(tmp_path: Path) -> None:
    clouds(tmp_path)
    source = find({"OS_CLOUD": "other"}, tmp_path, os_cloud="lab")
    assert source is not None and "--os-cloud" in source.description


def test_the_only_cloud_in_clouds_yaml_is_used(tmp_path: Path) -> None:
    clouds(tmp_path)
    source = find({}, tmp_path)
    assert source is not None and source.cloud == "lab"


def test_clouds_yaml_is_found_in_the_home_folder(tmp_path: Path) -> None:
    folder = tmp_path / "home" / ".config" / "openstack"
    folder.mkdir(parents=True)
    clouds(folder)
    source = find({}, tmp_path)
    assert source is not None and source.file == folder / "clouds.yaml"


def test_several_clouds_need_a_choice(tmp_path: Path) -> None:
    clouds(tmp_path, "clouds: {a: {}, b: {}}")
    with pytest.raises(CredentialsError, match=r"several clouds: a, b") as caught:
        find({}, tmp_path)
    assert "--os-cloud" in caught.value.remedy and "--local" in caught.value.remedy


def test_an_unknown_cloud_suggests_the_nearest(tmp_path: Path) -> None:
    clouds(tmp_path)
    with pytest.raises(CredentialsError) as caught:
        find({"OS_CLOUD": "labb"}, tmp_path)
    assert "OS_CLOUD is set to 'labb'" in caught.value.what
    assert "Did you mean 'lab'?" in caught.value.remedy


def test_os_cloud_without_clouds_yaml(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"there is no clouds\.yaml"):
        find({"OS_CLOUD": "lab"}, tmp_path)


def test_a_broken_clouds_yaml_is_named(tmp_path: Path) -> None:
    clouds(tmp_path, "clouds: [")
    with pytest.raises(CredentialsError, match=r"Cannot read \S+clouds\.yaml"):
        find({}, tmp_path)


def test_a_secret_next_to_clouds_yaml_is_read(tmp_path: Path) -> None:
    clouds(tmp_path, CLOUDS.replace("password: p, ", ""))
    (tmp_path / "secure.yaml").write_text("clouds: {lab: {auth: {password: apart}}}")
    source = find({"OS_CLOUD": "lab"}, tmp_path)
    assert source is not None
    assert region_of(source, {}).config["auth"]["password"] == "apart"


@pytest.mark.parametrize(
    "name",
    ["OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME", "OS_USER_DOMAIN_NAME"],
)
def test_each_missing_variable_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError) as caught:
        find(without(name), tmp_path)
    assert [problem.subject for problem in caught.value.problems] == [name]


def test_several_missing_variables_and_the_openrc_file_to_source(tmp_path: Path) -> None:
    rc = tmp_path / "demo-openrc.sh"
    rc.write_text("export OS_USERNAME=x")
    with pytest.raises(CredentialsError) as caught:
        find(without("OS_PASSWORD", "OS_USERNAME"), tmp_path)
    assert {problem.subject for problem in caught.value.problems} == {"OS_USERNAME", "OS_PASSWORD"}
    assert f"source {rc}" in caught.value.remedy


def test_a_project_id_needs_no_domain() -> None:
    env = without("OS_PROJECT_NAME", "OS_PROJECT_DOMAIN_ID")
    assert credentials.missing({**env, "OS_PROJECT_ID": "p"}) == []


def test_application_credentials_need_no_project(tmp_path: Path) -> None:
    env = {
        "OS_AUTH_URL": "http://127.0.0.1:5000/v3",
        "OS_AUTH_TYPE": "v3applicationcredential",
        "OS_APPLICATION_CREDENTIAL_ID": "i",
        "OS_APPLICATION_CREDENTIAL_SECRET": "s",
    }
    source = find(env, tmp_path)
    assert source is not None
    assert region_of(source, {}).config["auth"]["application_credential_secret"] == "s"
    del env["OS_APPLICATION_CREDENTIAL_SECRET"]
    with pytest.raises(CredentialsError) as caught:
        find(env, tmp_path)
    assert [p.subject for p in caught.value.problems] == ["OS_APPLICATION_CREDENTIAL_SECRET"]


def test_insecure_disables_verification(tmp_path: Path) -> None:
    source = find({**OPENRC, "OS_INSECURE": "true"}, tmp_path)
    assert source is not None
    assert region_of(source, {}).get_requests_verify_args()[0] is False
    source = find({**OPENRC, "OS_INSECURE": "false"}, tmp_path)
    assert source is not None
    assert region_of(source, {}).get_requests_verify_args()[0] is True


def test_the_password_is_not_in_the_description(tmp_path: Path) -> None:
    source = find(OPENRC, tmp_path)
    assert source is not None and "secret" not in source.description
