"""Models that a separate process compiles predict the same as in a process with Keras."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from production_server.batch_sizes import BATCH_SIZES
from production_server.errors import ModelError
from production_server.model import kerasfiles, machine_code
from production_server.model.durable import read_sealed
from production_server.model.predictor import Predictor
from production_server.model.registry import Registry
from tests.support.disks import SmallDisk

ROOT = Path(__file__).resolve().parent.parent.parent
LOAD = """
import sys
from production_server.model import machine_code
from production_server.model.registry import Registry
registry = Registry(sys.argv[1])
machine_code.load(registry, registry.active()).warm()
print(sorted({"keras", "h5py", "scipy"} & set(sys.modules)))
"""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "models")
    registry.seed()
    return registry


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The machine code of the shipped model."""
    registry = Registry(tmp_path_factory.mktemp("code") / "models")
    registry.seed()
    machine_code.load(registry, registry.active())
    return code_file(registry).read_bytes()


@pytest.fixture
def compiled(registry: Registry, code: bytes) -> Registry:
    """A registry with the machine code of its model."""
    file = code_file(registry)
    file.parent.mkdir(mode=0o700)
    file.write_bytes(code)
    return registry


def code_file(registry: Registry) -> Path:
    return registry.path / ".compiled" / machine_code.file_name(registry.card(registry.active()))


def start_loading(registry: Registry) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LOAD, registry.path],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_the_answers_are_equal_to_the_last_bit(compiled: Registry) -> None:
    version = compiled.active()
    separate, here = machine_code.load(compiled, version), Predictor.load(compiled, version)
    rows = np.random.default_rng(4).uniform(0, 200, (BATCH_SIZES[-1] + 3, 8)).astype(np.float32)
    for count in (*BATCH_SIZES, 3, len(rows)):
        np.testing.assert_array_equal(separate.predict(rows[:count]), here.predict(rows[:count]))


def test_workers_compile_a_version_once_and_load_no_keras(registry: Registry) -> None:
    workers = [start_loading(registry) for _ in range(3)]
    for worker in workers:
        output, errors = worker.communicate(timeout=120)
        assert (output, worker.returncode) == ("[]\n", 0), errors
    kept = [path for path in (registry.path / ".compiled").iterdir() if path.name != ".lock"]
    assert [path.name.rpartition(".")[0] for path in kept] == [registry.active()]
    written = kept[0].stat().st_mtime_ns
    assert start_loading(registry).wait(60) == 0
    assert kept[0].stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty", "of an older release"])
def test_damaged_code_is_compiled_again(damage: str, compiled: Registry) -> None:
    version = compiled.active()
    rows = np.zeros((1, 8), np.float32)
    expected = machine_code.load(compiled, version).predict(rows)
    file = code_file(compiled)
    good = file.read_bytes()
    changed = bytearray(good)
    changed[len(changed) // 2] ^= 1
    file.write_bytes(
        {
            "truncated": good[: len(good) // 2],
            "changed": bytes(changed),
            "empty": b"",
            "of an older release": good[32:],
        }[damage]
    )
    np.testing.assert_array_equal(machine_code.load(compiled, version).predict(rows), expected)
    assert read_sealed(file) is not None
    written = file.stat().st_mtime_ns
    machine_code.load(compiled, version)
    assert file.stat().st_mtime_ns == written, "the new file is used"


def test_a_full_disk_does_not_keep_a_model_from_loading(
    disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(disk.path / "models")
    registry.seed()
    disk.fill()
    predictor = machine_code.load(registry, registry.active())
    assert predictor.predict(np.zeros((1, 8), np.float32)).shape == (1, 1)
    assert "No space left on device" in caplog.text
    disk.empty()
    machine_code.load(registry, registry.active())
    assert list((registry.path / ".compiled").glob(f"{registry.active()}.*"))


def test_code_in_a_folder_that_others_can_write_to_never_runs(
    registry: Registry, tmp_path: Path
) -> None:
    folder = registry.path / ".compiled"
    folder.mkdir()
    folder.chmod(0o777)
    planted = code_file(registry)
    trace = tmp_path / "was-here"
    planted.write_bytes(f"cos\nsystem\n(S'touch {trace}'\ntR.".encode())
    predictor = machine_code.load(registry, registry.active())
    assert predictor.predict(np.zeros((1, 8), np.float32)).shape == (1, 1)
    assert not trace.exists()


def test_a_model_that_does_not_match_its_card_is_refused(registry: Registry) -> None:
    keras = kerasfiles.keras_module()
    row = keras.Input((3,))
    wrong = registry.path.parent / "wrong.keras"
    keras.Model(row, keras.layers.Dense(1)(row)).save(wrong)
    version = registry.add(registry.card(registry.active()), wrong).version
    with pytest.raises(ModelError, match="takes 3 inputs") as caught:
        machine_code.load(registry, version)
    assert "import the model again" in caught.value.remedy


def test_a_killed_compiler_is_reported(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(subprocess.Popen[str]):
        def communicate(self, *_: object, **__: object) -> tuple[str, str]:
            os.kill(self.pid, 9)
            return super().communicate()

    monkeypatch.setattr(subprocess, "Popen", Killed)
    began = time.monotonic()
    with pytest.raises(ModelError, match="exit code -9"):
        machine_code.load(registry, registry.active())
    assert time.monotonic() - began < 60
    assert list((registry.path / ".compiled").glob(f"{registry.active()}.*")) == []
