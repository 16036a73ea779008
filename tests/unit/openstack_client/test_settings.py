"""Settings: flags over environment over deployment.toml, and all problems at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from openstack_client.errors import SettingsError
from openstack_client.settings import (
    FILE_VARIABLE,
    PREFIX,
    config_folder,
    merge,
    settings_file,
)


def toml(folder: Path, text: str) -> Path:
    path = folder / "deployment.toml"
    path.write_text(text)
    return path


def test_defaults() -> None:
    settings, origins = merge({}, {}, None)
    assert settings.name == "stackserve"
    assert settings.allow_from == ["0.0.0.0/0"]
    assert settings.timeout_build >= 360
    assert origins == {}


def test_flags_override_environment_overrides_file(tmp_path: Path) -> None:
    file = toml(tmp_path, 'image = "file"\nflavor = "file"\nnetwork = "file"\n')
    env = {PREFIX + "IMAGE": "env", PREFIX + "FLAVOR": "env"}
    settings, origins = merge({"image": "flag", "flavor": None}, env, file)
    assert (settings.image, settings.flavor, settings.network) == ("flag", "env", "file")
    assert origins == {"image": "flag", "flavor": "environment", "network": str(file)}


def test_an_empty_value_means_the_default(tmp_path: Path) -> None:
    file = toml(tmp_path, 'ca_bundle = ""\nimage = ""\nflavor = "f"\n')
    settings = merge({"flavor": ""}, {PREFIX + "IMAGE": ""}, file)[0]
    assert (settings.image, settings.ca_bundle, settings.flavor) == (None, None, "f")


def test_lists_may_be_text(tmp_path: Path) -> None:
    file = toml(tmp_path, 'allow_from = ["10.0.0.0/8"]\n')
    assert merge({}, {}, file)[0].allow_from == ["10.0.0.0/8"]
    assert merge({"allow_from": "10.0.0.0/8, 192.168.1.5"}, {}, None)[0].allow_from == [
        "10.0.0.0/8",
        "192.168.1.5/32",
    ]


def test_all_problems_are_reported_at_once_with_their_origin(tmp_path: Path) -> None:
    file = toml(tmp_path, 'imagee = "x"\nallow_from = ["nonsense"]\n')
    env = {PREFIX + "WORKERS": "many", PREFIX + "FLAVOUR": "big"}
    with pytest.raises(SettingsError) as caught:
        merge({"name": "No Good"}, env, file)
    words = str(caught.value)
    assert f"imagee in {file}: unknown setting. Did you mean image?" in words
    assert f"allow_from in {file}" in words and "'nonsense'" in words
    assert "STACKSERVE_DEPLOY_WORKERS" in words and "'many'" in words
    assert (
        "STACKSERVE_DEPLOY_FLAVOUR: unknown setting. Did you mean STACKSERVE_DEPLOY_FLAVOR?"
    ) in words
    assert "--name: use lowercase letters, digits and hyphens" in words
    assert len(caught.value.problems) == 5
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "a" * 41),
        ("name", "-x"),
        ("name", "x-"),
        ("floating_ip", "yes"),
        ("ssh_via", "-oProxyCommand=evil"),
        ("ssh_via", "me@gate;id"),
        ("allow_from", "10.0.0.0/33"),
        ("apt_mirror", "deb.debian.org"),
        ("ca_bundle", "/nowhere/ca.pem"),
        ("model", "/nowhere/model"),
        ("workers", "0"),
        ("volume_size", "2"),
        ("no_proxy", "a\nb"),
        ("timeout_build", "soon"),
    ],
)
def test_a_bad_value_is_refused(key: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        merge({key: value}, {}, None)
    assert caught.value.problems[0].subject == "--" + key.replace("_", "-")


def test_paths_in_the_file_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    assert (
        merge({}, {}, toml(tmp_path, 'ca_bundle = "ca.pem"\n'))[0].ca_bundle == tmp_path / "ca.pem"
    )


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = toml(tmp_path, "image = \n")
    with pytest.raises(SettingsError, match=r"deployment\.toml is not valid TOML"):
        merge({}, {}, file)


def test_search_order_for_the_file(tmp_path: Path) -> None:
    here, clouds, named = tmp_path / "here", tmp_path / "clouds", tmp_path / "named"
    for folder in (here, clouds, named):
        folder.mkdir()
    beside = clouds / "clouds.yaml"
    assert settings_file(None, {}, here, beside) is None
    last = toml(clouds, "")
    assert settings_file(None, {}, here, beside) == last
    middle = toml(here, "")
    assert settings_file(None, {}, here, beside) == middle
    first = toml(named, "")
    assert settings_file(None, {FILE_VARIABLE: str(first)}, here, beside) == first
    assert settings_file(first, {FILE_VARIABLE: "/nowhere"}, here, beside) == first


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="STACKSERVE_DEPLOY_SETTINGS is set to"):
        settings_file(None, {FILE_VARIABLE: str(tmp_path / "none.toml")}, tmp_path, None)


def test_the_folder_for_keys() -> None:
    settings = merge({}, {}, None)[0]
    assert config_folder(settings, {"HOME": "/h"}) == Path("/h/.config/stackserve")
    assert config_folder(settings, {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == Path("/x/stackserve")
    chosen = merge({"config_dir": "/mine"}, {}, None)[0]
    assert config_folder(chosen, {"XDG_CONFIG_HOME": "/x"}) == Path("/mine")
