"""The network that `train` fits: raw values in, a probability out.

Imputation and scaling are layers of the network. It uses only Keras' own layers and operations, so
`keras.saving.load_model` can read the file in safe mode, on every backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from production_server.model.kerasfiles import keras_module

if TYPE_CHECKING:
    import keras

    from production_server.model.baseline import Scaling


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters of a training run. The defaults are the best that `--search` found."""

    units: tuple[int, ...] = (32, 16)
    activation: str = "swish"
    l2: float = 3e-3
    dropout: float = 0.2
    learning_rate: float = 3e-3
    batch_size: int = 64

    def __str__(self) -> str:
        layers = "-".join(str(width) for width in self.units)
        return f"{layers} {self.activation} l2={self.l2:g} dropout={self.dropout:g}"


SEARCH = tuple(
    Recipe(units=units, l2=l2, dropout=dropout)
    for units in ((16,), (32,), (32, 16))
    for l2, dropout in ((1e-3, 0.2), (3e-3, 0.2), (3e-3, 0.4))
)


def build(recipe: Recipe, scaling: Scaling) -> keras.Model:
    """Build a compiled network for the features that `scaling` describes.

    A missing value (a zero where zero means missing) is replaced by the mean. The mean is zero
    after scaling, so multiplying by "present", 0 or 1, does that.
    """
    keras = keras_module()
    layers, ops = keras.layers, keras.ops
    maskable = scaling.zero_is_missing.astype(float)
    raw = keras.Input((len(maskable),), name="measurements")
    scaled = layers.Normalization(
        mean=scaling.means.tolist(), variance=(scaling.sds**2).tolist(), name="scale"
    )(raw)
    # A column whose zeros are values becomes 1 here, so it always counts as present.
    marked = layers.Rescaling(maskable.tolist(), (1 - maskable).tolist(), name="mark_missing")(raw)
    present = ops.cast(ops.not_equal(marked, 0.0), "float32")
    hidden = layers.Multiply(name="impute_mean")([scaled, present])
    for number, width in enumerate(recipe.units, start=1):
        hidden = layers.Dense(
            width,
            activation=recipe.activation,
            kernel_regularizer=keras.regularizers.L2(recipe.l2),
            name=f"hidden_{number}",
        )(hidden)
        hidden = layers.Dropout(recipe.dropout, name=f"dropout_{number}")(hidden)
    probability = layers.Dense(
        1,
        activation="sigmoid",
        kernel_regularizer=keras.regularizers.L2(recipe.l2),
        name="probability",
    )(hidden)
    model = keras.Model(raw, probability, name="stackserve")
    model.compile(optimizer=keras.optimizers.Adam(recipe.learning_rate), loss="binary_crossentropy")
    return model
