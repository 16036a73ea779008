"""Importing models: old Keras files, other kinds of output, several inputs, and errors."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from production_server.cli import group
from production_server.errors import ModelError, RegistryError
from production_server.model.description import DIABETES, read_description
from production_server.model.importing import add_model, read_model
from production_server.model.predictor import Predictor
from production_server.model.registry import Registry
from tests.support.other_models import (
    DATA,
    FLOWERS,
    OLD_MODELS,
    POWER,
    OldModel,
    add_flowers,
    add_old_model,
)

if TYPE_CHECKING:
    import keras


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(group, [str(word) for word in arguments], catch_exceptions=False)


def network(inputs: int, outputs: int, activation: str | None, *layers: Any) -> keras.Model:
    import keras

    return keras.Sequential(
        [keras.Input((inputs,)), *layers, keras.layers.Dense(outputs, activation=activation)]
    )


@pytest.mark.parametrize("old", OLD_MODELS, ids=lambda old: f"{old.release}-{old.name}")
def test_old_files_still_predict_the_same(registry: Registry, old: OldModel) -> None:
    card = add_old_model(registry, old, activate=True)
    rows, answers = old.expected()
    found = Predictor.load(registry, card.version).predict(rows)
    assert np.abs(found - answers).max() < 1e-5 * max(1.0, np.abs(answers).max())
    assert registry.active() == card.version
    assert card.created
    assert card.metrics is None


def test_an_old_pair_on_the_command_line(registry: Registry) -> None:
    description, weights = OLD_MODELS[2].files
    done = run(
        "models",
        "import",
        description,
        weights,
        "--features",
        FLOWERS,
        "--data",
        DATA / "flowers.csv",
        "--activate",
        "--registry",
        registry.path,
    )
    assert "added flowers-1 to" in done.output
    card = registry.card("flowers-1")
    assert card.metrics is not None
    assert card.metrics.accuracy is not None
    assert card.metrics.accuracy > 0.9
    assert card.cohort is not None
    assert [part.label for part in card.cohort.groups] == ["alpha", "beta", "gamma"]
    output = run("predict", "--registry", registry.path, "5.0", "3.4", "1.5", "0.2").output
    assert output.startswith("alpha (alpha 0.9")


def test_regression_with_negative_values(registry: Registry) -> None:
    old = OLD_MODELS[1]
    run(
        "models",
        "import",
        old.files[0],
        "--features",
        POWER,
        "--data",
        DATA / "power.csv",
        "--activate",
        "--registry",
        registry.path,
    )
    card = registry.card("wind-power-1")
    assert card.metrics is not None
    assert card.metrics.r2 is not None
    assert card.metrics.r2 > 0.9
    assert card.cohort is not None
    assert card.cohort.groups[0].label is None
    output = run("predict", "--registry", registry.path, "-1.8", "2.6", "42").output
    assert output.startswith("Power of the turbine: 67.1")
    assert "kW" in output


def test_weights_of_a_pair_can_be_a_whole_model(tmp_path: Path) -> None:
    import h5py

    old = OLD_MODELS[4]
    description, weights = old.files
    assert weights is not None
    whole = tmp_path / "whole.h5"
    with h5py.File(whole, "w") as file, h5py.File(weights) as source:
        group = file.create_group("model_weights")
        for name, value in source.attrs.items():
            group.attrs[name] = value
        for name in source:
            source.copy(name, group)
    rows, answers = old.expected()
    assert np.abs(np.asarray(read_model(description, whole)(rows)) - answers).max() < 1e-5


def test_pair_from_keras_3(tmp_path: Path) -> None:
    import keras

    model = network(8, 1, "sigmoid", keras.layers.Dense(5, activation="relu"))
    description, weights = tmp_path / "model.json", tmp_path / "model.weights.h5"
    description.write_text(model.to_json(), encoding="utf-8")
    model.save_weights(weights)
    renamed = weights.rename(tmp_path / "model.h5")
    rows = np.random.default_rng(0).random((4, 8)).astype(np.float32)
    again = read_model(description, renamed)
    assert np.abs(np.asarray(again(rows)) - np.asarray(model(rows))).max() < 1e-6


def test_hdf5_named_keras(tmp_path: Path) -> None:
    old = OLD_MODELS[3]
    path = tmp_path / "model.keras"
    shutil.copyfile(old.files[0], path)
    rows, answers = old.expected()
    assert np.abs(np.asarray(read_model(path)(rows)) - answers).max() < 1e-5


@pytest.mark.parametrize("by_name", [False, True])
def test_several_inputs_are_merged_into_one_row(
    registry: Registry, tmp_path: Path, by_name: bool
) -> None:
    import keras

    parts = [keras.Input((width,), name=name) for name, width in (("a", 2), ("b", 1), ("c", 1))]
    joined = keras.layers.Concatenate()(parts)
    inputs: Any = {part.name: part for part in parts} if by_name else parts
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(joined))
    card = add_model(registry, model, read_description(FLOWERS).card(), scratch=tmp_path)
    rows = np.random.default_rng(0).random((5, 4)).astype(np.float32)
    split = [rows[:, :2], rows[:, 2:3], rows[:, 3:]]
    wanted = model(dict(zip("abc", split, strict=True)) if by_name else split)
    found = Predictor.load(registry, card.version).predict(rows)
    assert np.abs(found - np.asarray(wanted)).max() < 1e-6


def test_adapted_layers_are_kept(registry: Registry, tmp_path: Path) -> None:
    import keras

    scale = keras.layers.Normalization()
    scale.adapt(np.random.default_rng(0).normal(50, 20, (100, 8)))
    path = tmp_path / "mine.keras"
    network(8, 1, "sigmoid", scale, keras.layers.Dropout(0.5)).save(path)
    run("models", "import", path, "--features", DIABETES, "--registry", registry.path)
    assert "diabetes-2" in registry.versions(), "the shipped model is version 1"


def test_export_and_import(registry: Registry, tmp_path: Path) -> None:
    card = add_flowers(registry, activate=True)
    target = tmp_path / "flowers.tar"
    run("models", "export", "--output", target, "--registry", registry.path)
    other = Registry(tmp_path / "other")
    run("models", "import", target, "--activate", "--registry", other.path)
    assert other.card(other.active()) == card
    shutil.copytree(registry.path / card.version, tmp_path / "folder")
    run("models", "import", tmp_path / "folder", "--registry", other.path)
    assert other.versions() == ["diabetes-1", card.version]


def test_the_list_marks_the_active_version(registry: Registry) -> None:
    add_flowers(registry)
    listed = run("models", "list", "--json", "--registry", registry.path).output
    assert [(row["version"], row["active"]) for row in json.loads(listed)] == [("flowers-1", True)]
    run(
        "models",
        "import",
        *OLD_MODELS[3].files[:1],
        "--features",
        DIABETES,
        "--registry",
        registry.path,
    )
    run("models", "activate", "diabetes-1", "--registry", registry.path)
    run("models", "delete", "flowers-1", "--registry", registry.path)
    words = run("models", "list", "--registry", registry.path).output
    assert words.startswith("* diabetes-1")
    assert len(words.splitlines()) == 1


def test_broken_version_does_not_hide_the_others(registry: Registry) -> None:
    registry.seed()
    add_flowers(registry)
    (registry.path / "flowers-1" / "card.json").write_text("{}", encoding="utf-8")
    words = run("models", "list", "--registry", registry.path).output.splitlines()
    assert words[0].startswith("* diabetes-1")
    assert "is not valid" in words[1]


def tampered(registry: Registry, tmp_path: Path) -> Path:
    """A version folder whose model file does not match its card."""
    add_flowers(registry)
    folder = tmp_path / "folder"
    shutil.copytree(registry.path / "flowers-1", folder)
    with (folder / "model.keras").open("ab") as file:
        file.write(b"more")
    return folder


def test_tampered_version_is_rejected(registry: Registry, tmp_path: Path) -> None:
    folder = tampered(registry, tmp_path)
    with pytest.raises(RegistryError, match="damaged or was changed"):
        run("models", "import", folder, "--registry", tmp_path / "other")


@pytest.mark.parametrize(
    ("outputs", "activation", "features", "word"),
    [
        (1, None, DIABETES, "must be probabilities"),
        (2, "softmax", DIABETES, "returns 2 outputs"),
        (3, "sigmoid", FLOWERS, "do not sum to 1"),
    ],
)
def test_a_model_that_does_not_match_its_description(
    registry: Registry,
    tmp_path: Path,
    *,
    outputs: int,
    activation: str | None,
    features: Path,
    word: str,
) -> None:
    card = read_description(features).card()
    model = network(len(card.features), outputs, activation)
    with pytest.raises(ModelError, match=word):
        add_model(registry, model, card, scratch=tmp_path)
    assert registry.versions() == []


def test_an_image_model_is_refused(registry: Registry, tmp_path: Path) -> None:
    import keras

    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    with pytest.raises(ModelError, match="input has shape") as caught:
        add_model(registry, model, read_description(DIABETES).card(), scratch=tmp_path)
    assert "tabular" in caught.value.remedy


def test_model_that_predicts_nan_is_rejected(registry: Registry, tmp_path: Path) -> None:
    model = network(8, 1, "sigmoid")
    model.set_weights([np.full((8, 1), np.nan), np.zeros(1)])
    with pytest.raises(ModelError, match="NaN"):
        add_model(registry, model, read_description(DIABETES).card(), scratch=tmp_path)


def test_lambda_layer_is_rejected(tmp_path: Path) -> None:
    import keras

    path = tmp_path / "lambda.keras"
    network(8, 1, "sigmoid", keras.layers.Lambda(lambda row: row * 2)).save(path)
    with pytest.raises(ModelError, match="Lambda layer, which would run code"):
        read_model(path)


def test_lambda_layer_in_an_old_pair_is_rejected(tmp_path: Path) -> None:
    description, weights = OLD_MODELS[2].files
    config = json.loads(description.read_text())
    config["config"]["layers"].append({"class_name": "Lambda", "config": {}})
    changed = tmp_path / "model.json"
    changed.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match="Lambda layer, which would run code"):
        read_model(changed, weights)


def test_damaged_files_are_reported(tmp_path: Path) -> None:
    description, weights = OLD_MODELS[2].files
    assert weights is not None
    whole = OLD_MODELS[3].files[0]
    for name, source in (("a.h5", whole), ("b.keras", whole), ("c.json", weights)):
        path = tmp_path / name
        path.write_bytes(source.read_bytes()[:1000])
        with pytest.raises(ModelError, match=r"cannot load .* as a Keras model") as caught:
            read_model(path, weights if name == "c.json" else None)
        assert str(path) in str(caught.value)
    with zipfile.ZipFile(tmp_path / "d.keras", "w") as archive:
        archive.writestr("config.json", description.read_bytes())
    with pytest.raises(ModelError, match="cannot load"):
        read_model(tmp_path / "d.keras")


def test_files_that_do_not_belong_together_are_rejected(tmp_path: Path) -> None:
    description, weights = OLD_MODELS[2].files
    assert weights is not None
    other = OLD_MODELS[4].files[1]
    with pytest.raises(ModelError, match="cannot load"):
        read_model(description, other)
    with pytest.raises(ModelError, match="weights only"):
        read_model(weights)
    with pytest.raises(ModelError, match="without its weights"):
        read_model(description)
    with pytest.raises(ModelError, match=r"belongs to a model\.json"):
        read_model(weights, weights)
    with pytest.raises(ModelError, match="not a model file"):
        read_model(FLOWERS)
    with pytest.raises(ModelError, match="does not exist"):
        read_model(tmp_path / "nothing.keras")


def test_the_error_for_a_model_without_a_description_names_the_flag(registry: Registry) -> None:
    with pytest.raises(ModelError, match="does not describe its inputs") as caught:
        run("models", "import", OLD_MODELS[3].files[0], "--registry", registry.path)
    assert "--features" in caught.value.remedy
