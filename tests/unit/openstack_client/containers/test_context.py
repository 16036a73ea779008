"""What an image is built from: the code, one model, and nothing else."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from openstack_client import __version__
from openstack_client.containers.context import choose, gather, pack
from openstack_client.containers.settings import models_folder
from openstack_client.errors import SettingsError
from openstack_client.places import IMPORT_FOLDER
from openstack_client.userdata import code_hash, read_code
from production_server.settings import Settings

CODE = read_code(IMPORT_FOLDER)


def model(folder: Path, version: str = "iris-3") -> Path:
    path = folder / version
    path.mkdir(parents=True)
    (path / "card.json").write_text("{}")
    (path / "model.keras").write_bytes(b"network")
    return path


def shipped(paths: list[str]) -> set[str]:
    return {path.split("/")[2] for path in paths if path.startswith("production_server/shipped/")}


def test_the_archive_has_only_the_chosen_model(tmp_path: Path) -> None:
    content = gather(CODE, choose(str(model(tmp_path)), tmp_path, CODE))
    with tarfile.open(fileobj=io.BytesIO(pack(content.files))) as archive:
        names = archive.getnames()
        assert {(member.uid, member.mtime) for member in archive} == {(0, 0)}
    assert shipped(names) == {"iris-3"}
    assert "production_server/Dockerfile" in names and "cloud-init/files/fetch_uv.py" in names
    assert content.labels["stackserve.model"] == "iris-3"
    assert content.labels["stackserve.model.sha256"] == hashlib.sha256(b"network").hexdigest()


def test_the_labels_name_the_code_as_a_deploy_does(tmp_path: Path) -> None:
    """Also with a model of one's own: /alive of both must be comparable."""
    content = gather(CODE, choose(str(model(tmp_path)), tmp_path, CODE))
    assert content.labels["stackserve.code"] == code_hash(CODE) == content.code
    assert content.labels["org.opencontainers.image.version"] == __version__
    assert "stackserve.model" not in content.labels_of("RabbitMQ")


@pytest.mark.parametrize("word", [None, "diabetes-1"])
def test_the_shipped_model_is_the_default_and_has_a_name(word: str | None, tmp_path: Path) -> None:
    content = gather(CODE, choose(word, tmp_path, CODE))
    assert content.model == "diabetes-1" and shipped([f.path for f in content.files]) == {
        "diabetes-1"
    }


def test_a_version_is_looked_up_in_the_registry(tmp_path: Path) -> None:
    model(tmp_path)
    assert {file.path for file in choose("iris-3", tmp_path, CODE)} == {
        "iris-3/card.json",
        "iris-3/model.keras",
    }


def test_an_unknown_version_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    model(tmp_path)
    with pytest.raises(SettingsError, match="iris-4") as raised:
        choose("iris-4", tmp_path, CODE)
    assert "diabetes-1, iris-3" in raised.value.remedy


@pytest.mark.parametrize(
    "given",
    [{}, {"STACKSERVE_HOME": "/srv/one"}, {"STACKSERVE_REGISTRY": "/srv/two"}],
    ids=["default", "home", "registry"],
)
def test_the_launcher_finds_the_services_registry(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STACKSERVE_HOME", "STACKSERVE_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert models_folder(given) == Settings().registry_path
