"""The image of the service: what is in it, how it runs, and what it tells about itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from container_engine import BASE, DOCKER, Engine

from openstack_client.places import IMPORT_FOLDER
from openstack_client.userdata import code_hash, read_code
from production_server.model.registry import Registry
from tests.support.containers import Container, running
from tests.support.images import Images
from tests.support.other_models import OLD_MODELS, add_old_model
from tests.support.rows import PATIENT
from tests.support.service import ROOT

MOST_UNPACKED = 450_000_000
MOST_COMPRESSED = 150_000_000
SHELLS = {"sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "pip", "uv"}


@pytest.fixture(scope="module")
def container(images: Images) -> Iterator[Container]:
    with running(images.engine, images.image) as container:
        yield container


def test_it_predicts_and_tells_its_code(container: Container) -> None:
    assert container.get("/predict", **PATIENT)["version"] == "diabetes-1"
    assert container.get("/alive")["code_hash"] == code_hash(read_code(IMPORT_FOLDER))


def test_it_runs_without_root_rights_and_writable_files(container: Container) -> None:
    status = container.python("print(open('/proc/1/status').read())")
    assert "CapEff:\t0000000000000000" in status and "Uid:\t10001\t10001\t10001\t10001" in status
    write = "try: open('/opt/stackserve/x', 'w')\nexcept OSError as error: print(error.errno)"
    assert container.python(write) == "30\n"


def test_it_has_no_shell_and_no_package_manager(images: Images) -> None:
    files = images.engine.files(images.image)
    programs = {path.rpartition("/")[2] for path, entry in files.items() if entry.mode & 0o111}
    assert "python" in programs and not programs & SHELLS
    writable = [path for path, entry in files.items() if entry.isreg() and entry.mode & 0o022]
    assert writable == []


def test_it_says_what_it_is(images: Images) -> None:
    labels = images.engine.inspect(images.image)["Config"]["Labels"]
    assert labels["stackserve.model"] == "diabetes-1"
    assert labels["stackserve.code"] == code_hash(read_code(IMPORT_FOLDER))
    assert len(labels["stackserve.model.sha256"]) == 64


@pytest.mark.parametrize("name", ["image", "broker"])
def test_nothing_of_this_machine_is_in_its_description(name: str, images: Images) -> None:
    tag = getattr(images, name)
    told = json.dumps(images.engine.inspect(tag)["Config"])
    told += images.engine.docker("history", "--no-trunc", "--format={{json .}}", tag)
    own = (str(ROOT), str(images.engine.folder), "ca-certificates.crt", "PASSWORD", "-----BEGIN")
    assert [word for word in own if word in told] == []


def test_another_model_is_the_only_one(images: Images, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    card = add_old_model(registry, OLD_MODELS[2])
    version = registry.versions()[-1]
    answer = images.launcher(
        *("build", "flowers:test", "--base", BASE, "--json", "--model", version),
        *("--sbom", str(tmp_path / "sbom.json")),
        more={"STACKSERVE_REGISTRY": str(registry.path)},
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    (built,) = json.loads(answer.stdout)["images"]
    assert built["labels"]["stackserve.model"] == version and built["tag"] == "flowers:test"
    listed = json.loads((tmp_path / "sbom.json").read_text())["components"]
    assert [part["bom-ref"] for part in listed if part["type"].startswith("mach")] == [version]
    row = {feature.name: feature.default for feature in card.features}
    with running(images.engine, "flowers:test") as container:
        assert container.get("/predict", **row)["version"] == version
        models = "import os; print(os.listdir('production_server/shipped'))"
        assert container.python(models) == f"['{version}']\n"


def test_a_failed_build_leaves_the_name_where_it_was(images: Images) -> None:
    before = images.engine.inspect(images.image)["Id"]
    ended = images.launcher("build", images.image, "--base", "no-such-base:none")
    assert ended.returncode == 13 and "--base" in ended.stderr
    assert images.engine.inspect(images.image)["Id"] == before


def test_it_is_small(images: Images) -> None:
    assert images.engine.inspect(images.image)["Size"] < MOST_UNPACKED
    assert compressed(images.engine, images.image) < MOST_COMPRESSED


def compressed(engine: Engine, image: str) -> int:
    command = [DOCKER, "save", image]
    with subprocess.Popen(command, env=engine.environment, stdout=subprocess.PIPE) as saved:
        packed = subprocess.run(
            ["gzip", "-6"], stdin=saved.stdout, capture_output=True, check=True
        ).stdout
    assert saved.returncode == 0
    return len(packed)
