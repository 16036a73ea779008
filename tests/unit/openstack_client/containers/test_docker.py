"""Names, command lines, accounts, and what is said when Docker cannot do it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from openstack_client.cli import main
from openstack_client.containers import tags
from openstack_client.containers.build import Recipe
from openstack_client.containers.context import Context
from openstack_client.containers.docker import Docker
from openstack_client.containers.push import copy_config
from openstack_client.containers.settings import PASSWORD, USERNAME, Login, login
from openstack_client.errors import CredentialsError, ImageError, SettingsError

CONTENT = Context(files=(), code="c0de", model="iris-3", model_sha256="f00d")


@pytest.mark.parametrize(
    ("tag", "broker", "registry"),
    [
        ("stackserve", "stackserve-broker", ""),
        ("stackserve:1.2", "stackserve-broker:1.2", ""),
        ("team/stackserve:1", "team/stackserve-broker:1", ""),
        ("localhost/x", "localhost/x-broker", "localhost"),
        ("127.0.0.1:5000/a/x:1", "127.0.0.1:5000/a/x-broker:1", "127.0.0.1:5000"),
        ("registry.example/x", "registry.example/x-broker", "registry.example"),
    ],
)
def test_names(tag: str, broker: str, registry: str) -> None:
    assert tags.check(tag) == tag
    assert (tags.beside(tag, "broker"), tags.registry(tag)) == (broker, registry)


@pytest.mark.parametrize("tag", ["", "Stackserve", "-x", "a:b:c", "a b", "x@sha256:1", "x:"])
def test_what_is_no_name(tag: str) -> None:
    with pytest.raises(SettingsError, match="not the name of an image"):
        tags.check(tag)


def test_secrets_are_no_arguments() -> None:
    recipe = Recipe("debian:12", "https://user:word@index.example/", Path("/etc/a,b.pem"))
    command = recipe.command("x:1", CONTENT)
    assert "word" not in " ".join(command)
    assert "--secret=id=index,env=STACKSERVE_BUILD_INDEX" in command
    assert '--secret=id=authorities,"src=/etc/a,b.pem"' in command
    assert recipe.environment["STACKSERVE_BUILD_INDEX"] == "https://user:word@index.example/"
    assert "--build-arg=BASE=debian:12" in command and "--build-arg=CODE_HASH=c0de" in command
    assert "--label=stackserve.model=iris-3" in command and command[-1] == "-"


def test_a_plain_build_leaves_the_choices_to_the_dockerfile() -> None:
    command = Recipe().command("x", CONTENT, "broker")
    assert "--target=broker" in command and "--no-cache" not in command
    assert not [word for word in command if word.startswith(("--secret", "--build-arg"))]
    assert "--no-cache" in Recipe(cache=False).command("x", CONTENT)


def test_an_account_is_whole_or_none() -> None:
    assert login({}) is None
    assert login({USERNAME: "me", PASSWORD: "word"}) == Login("me", "word")
    assert "word" not in repr(Login("me", "word"))
    with pytest.raises(CredentialsError, match=f"{PASSWORD} is not"):
        login({USERNAME: "me"})


def test_the_password_does_not_get_to_docker() -> None:
    assert Docker({PASSWORD: "word", "PATH": "/bin"}).env == {"PATH": "/bin"}


def test_a_push_keeps_the_users_configuration_but_not_their_logins(tmp_path: Path) -> None:
    mine, copy = tmp_path / "mine", tmp_path / "copy"
    (mine / "contexts").mkdir(parents=True)
    copy.mkdir()
    config = {"currentContext": "far", "auths": {"x": {"auth": "secret"}}, "credsStore": "pass"}
    (mine / "config.json").write_text(json.dumps(config))
    copy_config(mine, copy)
    assert json.loads((copy / "config.json").read_text()) == {"currentContext": "far"}
    assert (copy / "contexts").resolve() == mine / "contexts"


def script(folder: Path, text: str) -> dict[str, str]:
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/bin"}


def test_docker_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file") as raised:
        Docker({"PATH": str(tmp_path)}).version()
    assert "Install Docker" in raised.value.remedy


def test_the_engine_does_not_answer(tmp_path: Path) -> None:
    env = script(tmp_path, "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(ImageError, match="Cannot connect") as raised:
        Docker(env).version()
    assert "docker version" in raised.value.remedy


@pytest.mark.parametrize(("version", "builds"), [("20.10.24", True), ("28.2.2", False)])
def test_a_newer_client_needs_a_plugin_for_buildkit(
    version: str, builds: bool, tmp_path: Path
) -> None:
    answer = json.dumps({"Client": {"Version": version}})
    docker = Docker(script(tmp_path, f"[ $1 = version ] && echo '{answer}'"))
    if builds:
        docker.check_buildkit()
        return
    with pytest.raises(ImageError, match=r"28\.2\.2 has no BuildKit"):
        docker.check_buildkit()


def test_errors_have_an_exit_code_and_json(tmp_path: Path) -> None:
    ended = CliRunner().invoke(
        main, ["image", "push", "x", "--json"], env={"PATH": str(tmp_path), USERNAME: ""}
    )
    assert ended.exit_code == ImageError.exit_code
    assert json.loads(ended.stdout)["code"] == "image"
