"""The parts of a card that say how good the model is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A piece of the card: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CalibrationBin(Part):
    """Held-out rows whose probability fell in [low, high)."""

    low: float
    high: float
    count: int
    predicted: float = Field(description="mean probability in the bin")
    observed: float = Field(description="share of positives in the bin")


class RocPoint(Part):
    false_positive_rate: float
    true_positive_rate: float


class HeldOut(Part):
    """Truth (class index, or value) and answer of each held-out row; no inputs are kept."""

    truth: list[float]
    probability: list[float] | list[list[float]] = Field(
        description="binary: of the positive class; multiclass: one a class; regression: the value"
    )


class CrossValidation(Part):
    """Mean over the folds, of the model and of a logistic regression on the very same folds."""

    folds: int
    auc: float
    baseline_auc: float
    fold_auc: list[float]
    fold_baseline_auc: list[float]


class Metrics(Part):
    """How good the model is on rows it has not seen; fields that its kind lacks are null."""

    rows_train: int
    rows_test: int
    accuracy: float | None = None
    roc_auc: float | None = None
    brier: float | None = None
    log_loss: float | None = None
    mae: float | None = None
    rmse: float | None = None
    r2: float | None = None
    confusion: list[list[int]] = Field([], description="row: truth, column: answer")
    calibration: list[CalibrationBin] = Field([])
    roc: list[RocPoint] = Field([])
    held_out: HeldOut | None = None
    cross_validation: CrossValidation | None = None
