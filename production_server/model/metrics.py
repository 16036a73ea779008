"""The parts of a card that say how good the model is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_SANITY_ROWS = 100


class Part(BaseModel):
    """A part of the card. Unknown keys are refused, and values never change."""

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
    """True class or value, and prediction, of each held-out row; inputs are not kept."""

    truth: list[float]
    probability: list[float] | list[list[float]] = Field(
        description="binary: of the positive class; multiclass: per class; regression: the value"
    )


class CrossValidation(Part):
    """Means over the folds, for the model and for a logistic regression on the same folds."""

    folds: int
    auc: float
    baseline_auc: float
    fold_auc: list[float]
    fold_baseline_auc: list[float]


class Metrics(Part):
    """Quality on rows that the model has not seen. Metrics that its kind lacks are null."""

    rows_train: int
    rows_test: int
    accuracy: float | None = None
    roc_auc: float | None = None
    brier: float | None = None
    log_loss: float | None = None
    mae: float | None = None
    rmse: float | None = None
    r2: float | None = None
    confusion: list[list[int]] = Field([], description="row: true class, column: predicted class")
    calibration: list[CalibrationBin] = Field([])
    roc: list[RocPoint] = Field([])
    held_out: HeldOut | None = None
    cross_validation: CrossValidation | None = None


class Sanity(Part):
    """Synthetic rows, and what the model answered for them when it was made."""

    rows: list[list[float]] = Field(min_length=1, max_length=MOST_SANITY_ROWS)
    outputs: list[list[float]]

    @model_validator(mode="after")
    def _paired(self) -> Sanity:
        if len(self.rows) != len(self.outputs):
            raise ValueError("as many outputs as rows are needed")
        return self
