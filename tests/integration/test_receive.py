"""`models receive` takes what passes the gate, and refuses the rest with a reason."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from production_server.cli import command
from production_server.model import rollout
from production_server.model.card import Card, card_text, read_card
from production_server.model.description import DIABETES
from production_server.model.registry import SHIPPED, Registry, sha256_of
from tests.support.other_models import DATA, FLOWERS

VERSION = Registry(SHIPPED).versions()[-1]
PAIR = DATA / "keras_models" / "keras_2_1"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "registry")
    registry.seed()
    return registry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the active version, to change."""
    shutil.copytree(SHIPPED / VERSION, tmp_path / VERSION)
    return tmp_path / VERSION


def receive(registry: Registry, *words: object, given: bytes | None = None) -> Result:
    texts = [str(word) for word in words]
    return CliRunner().invoke(
        command, ["models", "receive", *texts, "--registry", str(registry.path)], input=given
    )


def state(registry: Registry) -> dict[str, str]:
    files = sorted(path for path in registry.path.rglob("*") if path.is_file())
    return {str(path): sha256_of(path) for path in files if path.name != ".lock"}


def as_tar(*paths: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in paths:
            tar.add(path, path.name)
    return out.getvalue()


def recard(folder: Path, change: Callable[[Card], dict[str, object]]) -> None:
    card = read_card(folder / "card.json")
    (folder / "card.json").write_text(card_text(card.model_copy(update=change(card))))


def other_hash(folder: Path) -> None:
    recard(folder, lambda card: {"model_sha256": "0" * 64})


def cut_off(folder: Path) -> None:
    data = (folder / "model.keras").read_bytes()
    (folder / "model.keras").write_bytes(data[:-2000])
    recard(folder, lambda card: {"model_sha256": sha256_of(folder / "model.keras")})


def other_order(folder: Path) -> None:
    recard(folder, lambda card: {"features": card.features[::-1]})


def other_names(folder: Path) -> None:
    renamed = {"name": "height", "aliases": []}
    recard(
        folder,
        lambda card: {
            "features": [card.features[0].model_copy(update=renamed), *card.features[1:]]
        },
    )


def worse(folder: Path) -> None:
    recard(folder, lambda card: {"metrics": card.metrics.model_copy(update={"roc_auc": 0.6})})  # type: ignore[union-attr]


def other_predictions(folder: Path) -> None:
    rows = [[feature.default for feature in read_card(folder / "card.json").features]]
    made = json.loads((folder / "card.json").read_text())
    made["sanity"] = {"rows": rows, "outputs": [[0.123]]}
    (folder / "card.json").write_text(json.dumps(made))


def half(folder: Path) -> None:
    (folder / "model.keras").unlink()


def bomb(folder: Path) -> None:
    with zipfile.ZipFile(folder / "model.keras", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(100_000_000))
    recard(folder, lambda card: {"model_sha256": sha256_of(folder / "model.keras")})


def leads_elsewhere(folder: Path) -> None:
    with zipfile.ZipFile(folder / "model.keras", "a") as archive:
        archive.writestr("../../evil", b"x")
    recard(folder, lambda card: {"model_sha256": sha256_of(folder / "model.keras")})


def garbage(folder: Path) -> None:
    (folder / "card.json").write_text("{")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_hash, "SHA-256"),
        (cut_off, "not complete"),
        (other_order, "another order"),
        (other_names, "it has height and it lacks pregnancies"),
        (worse, "ROC AUC 0.6000, 0.8417 of the active"),
        (other_predictions, "instead of 0.123"),
        (half, "without model.keras"),
        (bomb, "too large"),
        (leads_elsewhere, "evil"),
        (garbage, "not valid"),
    ],
)
def test_what_is_refused_changes_nothing(
    registry: Registry, folder: Path, change: Callable[[Path], None], reason: str
) -> None:
    change(folder)
    before = state(registry)
    done = receive(registry, "-", "--activate", given=as_tar(*sorted(folder.iterdir())))
    assert done.exit_code == 1, done.output
    assert "refused" in done.stderr and reason in done.stderr
    assert len(done.stderr.splitlines()) == 2, "the second line is what to do"
    assert "/tmp" not in done.stderr
    assert state(registry) == before


def test_a_worse_version_may_be_forced(registry: Registry, folder: Path) -> None:
    worse(folder)
    done = receive(registry, folder, "--force", "--activate")
    assert done.exit_code == 0, done.output
    assert "worse, but forced" in done.stdout


def test_a_check_changes_nothing_and_names_the_version(registry: Registry) -> None:
    before = state(registry)
    sent = as_tar(PAIR / "diabetes.json", PAIR / "diabetes.h5", DIABETES)
    done = receive(registry, "--check", "--json", given=sent)
    told = json.loads(done.stdout)
    assert (told["accepted"], told["version"], told["state"]) == (True, "diabetes-2", "checked")
    assert state(registry) == before
    done = receive(registry, "--check", "--json", given=sent[:9000])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["code"] == "unreadable"


def test_a_pair_without_a_features_file_is_described_like_the_active_version(
    registry: Registry,
) -> None:
    done = receive(
        registry, "--activate", given=as_tar(PAIR / "diabetes.json", PAIR / "diabetes.h5")
    )
    assert done.exit_code == 0, done.output
    assert "no features file" in done.stdout
    assert registry.active() == "diabetes-2"
    card = registry.card("diabetes-2")
    assert card.feature_names == registry.card("diabetes-1").feature_names
    assert card.metrics is None and card.sanity is not None
    # What was received can be sent on, and its own predictions are checked there.
    again = receive(registry, registry.path / "diabetes-2", "--check")
    assert "no sanity" not in again.stdout and again.exit_code == 0, again.output


def test_other_widths_need_a_features_file(registry: Registry) -> None:
    flowers = DATA / "keras_models" / "tf_keras_2_21" / "flowers.h5"
    done = receive(registry, flowers)
    assert "4 inputs and 3 outputs; the active diabetes-1 has 8 and 1" in done.stderr
    done = receive(registry, flowers, "--features", FLOWERS)
    assert done.exit_code == 0, done.output
    assert registry.versions() == ["diabetes-1", "flowers-1"]
    assert registry.active() == "diabetes-1"


def test_a_version_on_trial_leaves_the_active_one(registry: Registry, folder: Path) -> None:
    made = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**made, "version": "diabetes-7"}))
    wrong = receive(registry, folder, "--canary", "110%")
    assert wrong.exit_code == 2
    assert receive(registry, folder, "--canary", "10%", "--activate").exit_code == 2
    done = receive(registry, folder, "--canary", "10%", "--json")
    assert json.loads(done.stdout)["state"] == "canary", done.output
    trial = rollout.candidate(registry)
    assert trial is not None
    assert (trial.version, trial.mode, trial.share) == ("diabetes-7", rollout.Mode.CANARY, 0.1)
    assert registry.active() == "diabetes-1"
    assert receive(registry, folder, "--shadow").exit_code == 0
    trial = rollout.candidate(registry)
    assert trial is not None and trial.mode is rollout.Mode.SHADOW
