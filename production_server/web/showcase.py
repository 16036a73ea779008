"""What the page shows besides the form: charts, tiles and the synthetic cohort.

Made once per version, on the first request that needs it, and kept for the last few versions.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from markupsafe import Markup

from production_server.errors import QueueError
from production_server.figures import write
from production_server.model import cohort
from production_server.model.card import Card
from production_server.model.metrics import Metrics
from production_server.web import charts

COHORT_SIZE = 60
COHORT_SEED = 2026
SAMPLE_ROWS = 1000
# While the queue is down, each attempt waits for its deadline: retry only this often.
RETRY_SECONDS = 10.0
KEPT = 4  # versions: a roll-out uses two, a roll-back one more

Predict = Callable[[Card, list[list[float]]], Sequence[Sequence[float]]]


@dataclass(frozen=True)
class Case:
    """A synthetic case and its prediction."""

    row: dict[str, float]
    label: str | None
    outputs: list[float]
    shown: list[str]
    text: str
    colour: int
    link: str


@dataclass(frozen=True)
class Sheet:
    """What the page shows of a version, whatever the request."""

    tiles: list[tuple[str, str, str]] = field(default_factory=list)
    roc: Markup | None = None
    calibration: Markup | None = None
    scatter: Markup | None = None
    cases: list[Case] = field(default_factory=list)
    cohort_chart: Markup | None = None
    labelled: bool = False  # the cases were drawn from classes, so the prediction can differ
    why_no_cases: str = ""


class Showcase:
    """The sheets of the latest versions. A cohort that failed is retried later."""

    def __init__(self, predict: Predict, clock: Callable[[], float] = time.monotonic) -> None:
        self._predict = predict
        self._clock = clock
        self._sheets: OrderedDict[str, Sheet] = OrderedDict()
        self._failed: tuple[str, float, Sheet] | None = None
        self._lock = threading.Lock()

    def sheet(self, card: Card) -> Sheet:
        key = f"{card.version} {card.model_sha256}"
        # One request predicts the cohort; concurrent requests wait for it.
        with self._lock:
            if key in self._sheets:
                self._sheets.move_to_end(key)
                return self._sheets[key]
            if self._failed and self._failed[0] == key and self._clock() < self._failed[1]:
                return self._failed[2]
            try:
                sheet = make_sheet(card, self._predict)
            except QueueError as error:
                sheet = make_sheet(card, None, f"{error}. {error.remedy}")
                self._failed = key, self._clock() + RETRY_SECONDS, sheet
                return sheet
            self._sheets[key] = sheet
            while len(self._sheets) > KEPT:
                self._sheets.popitem(last=False)
            return sheet


def make_sheet(card: Card, predict: Predict | None, trouble: str = "") -> Sheet:
    """Charts and tiles from the card, and the cohort. Without `predict`, `trouble` says why."""
    cases: list[Case] = []
    if predict is not None:
        drawn = cohort.sample(card, COHORT_SIZE, COHORT_SEED)
        answers = predict(card, [[row[name] for name in card.feature_names] for row, _ in drawn])
        cases = [
            make_case(card, row, label, [float(value) for value in outputs])
            for (row, label), outputs in zip(drawn, answers, strict=True)
        ]
    metrics = card.metrics
    # A broken model may return NaN, which has no place on an axis.
    placed = [case for case in cases if all(map(math.isfinite, case.outputs))]
    return Sheet(
        tiles=tiles(metrics) if metrics else [],
        roc=_roc(metrics) if metrics and metrics.roc else None,
        calibration=_calibration(metrics) if metrics and metrics.calibration else None,
        scatter=_scatter(card, metrics) if metrics and not card.output.probabilities else None,
        cases=cases,
        cohort_chart=cohort_chart(card, placed) if placed else None,
        labelled=any(case.label in card.classes for case in cases),
        why_no_cases=trouble and f"The sample cohort has no predictions right now: {trouble}",
    )


def make_case(card: Card, row: dict[str, float], label: str | None, outputs: list[float]) -> Case:
    shown = [f"{row[feature.name]:.{feature.decimals}f}" for feature in card.features]
    output = card.output
    chosen = output.choose(outputs)
    text = write(output.captions()[chosen], output.prediction(outputs))
    query = urlencode(dict(zip(card.feature_names, shown, strict=True)))
    return Case(
        row, label, outputs, shown, text, chosen % charts.COLOURS, f"/predictions?{query}#answer"
    )


def cohort_chart(card: Card, cases: Sequence[Case]) -> Markup:
    """A lane per label: the class a case was drawn from, or else the predicted one."""
    output = card.output
    labelled = any(case.label in card.classes for case in cases)
    dots: list[charts.Dot] = []
    for case in cases:
        answered = output.choose(case.outputs)
        lane = card.classes.index(case.label) if labelled and case.label else answered
        title = f"{case.text}, drawn from {case.label}" if labelled else case.text
        dots.append(charts.Dot(lane, output.position(case.outputs, lane), answered, title))
    if not output.probabilities:
        values = [dot.x for dot in dots]
        ticks = charts.value_ticks(min(values), max(values))
        lanes, label = list(output.labels), f"Predictions of {len(cases)} synthetic cases"
    else:
        ticks = charts.PERCENT_TICKS
        lanes = [f"{'drawn from' if labelled else 'predicted'} {name}" for name in output.labels]
        label = f"Predicted probabilities of {len(cases)} synthetic cases, a row for each class"
    return charts.dot_chart(
        dots, lanes, ticks=ticks, axis=output.axis, label=label, mark=output.mark
    )


def tiles(metrics: Metrics) -> list[tuple[str, str, str]]:
    """Name, value and meaning of each metric in the card."""
    crossed = metrics.cross_validation
    known: list[tuple[str, float | None, str, str]] = [
        ("Accuracy", metrics.accuracy, "%", "share of correct predictions"),
        ("ROC AUC", metrics.roc_auc, "", "1 is perfect, 0.5 is random"),
        ("Brier score", metrics.brier, "", "0 is perfect; lower is better"),
        ("Log loss", metrics.log_loss, "", "lower is better"),
        ("Mean error", metrics.mae, "", "average distance from the truth"),
        ("RMSE", metrics.rmse, "", "weighs large errors more"),
        ("R²", metrics.r2, "", "1 is perfect, 0 is no better than the mean"),
    ]
    shown = [
        (name, f"{value:.1%}" if kind == "%" else f"{value:.3g}", meaning)
        for name, value, kind, meaning in known
        if value is not None
    ]
    if crossed is not None:
        shown.append(
            (
                f"AUC, {crossed.folds} folds",
                f"{crossed.auc:.3f}",
                f"logistic regression on the same folds: {crossed.baseline_auc:.3f}",
            )
        )
    return shown


def _roc(metrics: Metrics) -> Markup:
    points = [(p.false_positive_rate, p.true_positive_rate) for p in metrics.roc]
    return charts.roc_chart(points, metrics.roc_auc)


def _calibration(metrics: Metrics) -> Markup:
    return charts.calibration_chart(
        [charts.Bin(b.predicted, b.observed, b.count) for b in metrics.calibration]
    )


def _scatter(card: Card, metrics: Metrics) -> Markup | None:
    if metrics.held_out is None:
        return None
    truth, answers = metrics.held_out.truth, metrics.held_out.probability
    predicted = [float(value) for value in answers if not isinstance(value, list)]
    return (
        charts.scatter_chart(truth, predicted, card.unit) if len(predicted) == len(truth) else None
    )
