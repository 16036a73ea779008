"""Charts as SVG text, drawn on the server from plain numbers.

Pure functions: values in, markup out. The style sheet sets colours, fonts and dark mode. The markup
has classes and no style attributes, so it works under a strict Content-Security-Policy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from production_server.figures import number, percent

WIDTH = 340
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 12, 42
PLOT = WIDTH - LEFT - RIGHT
GAUGE_RADIUS = 80
COLUMNS = 32  # of the dot chart: narrow enough to show a shape, wide enough for a dot
COLOURS = 6  # the style sheet has k0 ... k5

Tick = tuple[float, str]
PERCENT_TICKS: list[Tick] = [(0.0, "0%"), (0.25, "25%"), (0.5, "50%"), (0.75, "75%"), (1.0, "100%")]


@dataclass(frozen=True)
class Dot:
    """One case of the cohort: its lane, its place on the axis, its colour, its tooltip."""

    lane: int
    x: float
    colour: int
    title: str


@dataclass(frozen=True)
class Bin:
    """One calibration bin: mean predicted probability, observed fraction, number of cases."""

    predicted: float
    observed: float
    count: int


def value_ticks(low: float, high: float) -> list[Tick]:
    """About five round numbers that enclose the span."""
    # A span near the resolution of a float has no room for two different ticks.
    if high - low <= max(abs(low) * 1e-9, 1e-300):
        high = low + (abs(low) if abs(low) > 1e-9 else 1.0)
    rough = (high - low) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    places = range(math.floor(low / step), math.ceil(high / step) + 1)
    return [(step * k, number(step * k)) for k in places]


def roc_chart(points: Sequence[tuple[float, float]], auc: float | None) -> Markup:
    """The ROC curve of (false positive rate, true positive rate) points."""
    height = TOP + PLOT + BOTTOM
    x, y = _scale(0, 1, LEFT, LEFT + PLOT), _scale(0, 1, TOP + PLOT, TOP)
    line = _path([(x(fpr), y(tpr)) for fpr, tpr in sorted(points)])
    area = f"{line}L{_n(x(1))} {_n(y(0))}L{_n(x(0))} {_n(y(0))}Z"
    label = "ROC curve" + (f", area under it {auc:.2f}" if auc is not None else "")
    caption = "" if auc is None else _text(x(0.62), y(0.24), f"AUC {auc:.2f}", "big")
    return _svg(
        height,
        label,
        [
            _square(x, y),
            _line(x(0), y(0), x(1), y(1), "dash"),
            f'<path class="area" d="{area}"/><path class="curve" d="{line}"/>',
            caption,
            _axis_titles("False alarms", "Found", height),
        ],
    )


def calibration_chart(bins: Sequence[Bin]) -> Markup:
    """Predicted against observed: a dot per bin, sized by its number of cases."""
    height = TOP + PLOT + BOTTOM
    x, y = _scale(0, 1, LEFT, LEFT + PLOT), _scale(0, 1, TOP + PLOT, TOP)
    filled = sorted((b for b in bins if b.count > 0), key=lambda b: b.predicted)
    most = max((b.count for b in filled), default=1)
    places = [(x(b.predicted), y(b.observed)) for b in filled]
    sizes = [3 + 7 * math.sqrt(b.count / most) for b in filled]
    dots = [
        f'<circle class="point" cx="{_n(cx)}" cy="{_n(cy)}" r="{_n(size)}">'
        f"<title>predicted {percent(b.predicted)}, observed {percent(b.observed)}, "
        f"{b.count} cases</title></circle>"
        for (cx, cy), size, b in zip(places, sizes, filled, strict=True)
    ]
    line = f'<path class="curve thin" d="{_path(places)}"/>' if places else ""
    return _svg(
        height,
        f"Calibration: predicted against observed in {len(filled)} bins",
        [
            _square(x, y),
            _line(x(0), y(0), x(1), y(1), "dash"),
            line,
            *dots,
            _axis_titles("Predicted", "Observed", height),
        ],
    )


def loss_chart(loss: Sequence[float], val_loss: Sequence[float]) -> Markup:
    """The loss of each epoch: a line for the rows that train, one for those that decide the end."""
    height = TOP + PLOT + BOTTOM
    values = [value for value in (*loss, *val_loss) if math.isfinite(value)] or [0.0, 1.0]
    ticks = value_ticks(min(values), max(values))
    x = _scale(1, max(2, len(loss)), LEFT, LEFT + PLOT)
    y = _scale(ticks[0][0], ticks[-1][0], TOP + PLOT, TOP)
    lines = [
        f'<path class="curve thin {kind}" d="'
        f'{_path([(x(i), y(v)) for i, v in enumerate(losses, 1) if math.isfinite(v)])}"/>'
        for kind, losses in (("own", loss), ("other", val_loss))
    ]
    marks = [
        part
        for tick, words in ticks
        for part in (
            _line(LEFT, y(tick), LEFT + PLOT, y(tick), "grid"),
            _text(LEFT - 7, y(tick) + 4, words, "tick", "end"),
        )
    ]
    ends = [
        _text(x(1), TOP + PLOT + 17, "1", "tick"),
        _text(LEFT + PLOT, TOP + PLOT + 17, str(len(loss)), "tick", "end"),
    ]
    label = f"Loss after each of {len(loss)} epochs, last {loss[-1]:.3f} and {val_loss[-1]:.3f}"
    frame = f'<rect class="plot" x="{LEFT}" y="{TOP}" width="{PLOT}" height="{PLOT}"/>'
    return _svg(
        height, label, [frame, *marks, *ends, *lines, _axis_titles("Epoch", "Loss", height)]
    )


def scatter_chart(truth: Sequence[float], predicted: Sequence[float], unit: str) -> Markup:
    """Predicted against actual values of held-out cases, for a model that predicts values."""
    height = TOP + PLOT + BOTTOM
    values = [*truth, *predicted] or [0.0, 1.0]
    ticks = value_ticks(min(values), max(values))
    low, high = ticks[0][0], ticks[-1][0]
    x, y = _scale(low, high, LEFT, LEFT + PLOT), _scale(low, high, TOP + PLOT, TOP)
    dots = [
        f'<circle class="point" cx="{_n(x(t))}" cy="{_n(y(p))}" r="3"/>'
        for t, p in zip(truth, predicted, strict=True)
    ]
    marks = [
        part
        for tick, words in ticks
        for part in (
            _text(x(tick), TOP + PLOT + 17, words, "tick", "middle"),
            _text(LEFT - 7, y(tick) + 4, words, "tick", "end"),
        )
    ]
    suffix = f" ({unit})" if unit else ""
    return _svg(
        height,
        f"Actual against predicted values of {len(dots)} held-out cases",
        [
            f'<rect class="plot" x="{LEFT}" y="{TOP}" width="{PLOT}" height="{PLOT}"/>',
            _line(LEFT, TOP + PLOT, LEFT + PLOT, TOP, "dash"),
            *marks,
            *dots,
            _axis_titles("Actual" + suffix, "Predicted" + suffix, height),
        ],
    )


def dot_chart(
    dots: Sequence[Dot],
    lanes: Sequence[str],
    *,
    ticks: Sequence[Tick],
    axis: str,
    label: str,
    mark: Tick | None = None,
) -> Markup:
    """One lane per group, one stack of dots per bin; `mark` draws a threshold across the lanes."""
    low, high = ticks[0][0], ticks[-1][0]
    x = _scale(low, high, RIGHT, WIDTH - RIGHT)
    column = (WIDTH - 2 * RIGHT) / COLUMNS
    stacks: dict[tuple[int, int], list[Dot]] = {}
    for dot in sorted(dots, key=lambda d: (d.colour, d.x)):
        place = int((dot.x - low) / (high - low) * COLUMNS)
        stacks.setdefault((dot.lane, min(COLUMNS - 1, max(0, place))), []).append(dot)
    tallest = [
        max((len(stack) for (at, _), stack in stacks.items() if at == lane), default=0)
        for lane in range(len(lanes))
    ]
    step = min(column, max(7.0, 110 / max(1, *tallest)))
    parts: list[str] = []
    floor = float(TOP)
    for lane, (name, most) in enumerate(zip(lanes, tallest, strict=True)):
        parts.append(_text(RIGHT, floor + 20, name, "lane"))
        floor += 34 + max(2, most) * step
        parts.append(_line(RIGHT, floor, WIDTH - RIGHT, floor, "axis"))
        for (at, place), stack in stacks.items():
            if at == lane:
                parts += _stack(stack, RIGHT + (place + 0.5) * column, floor, step)
    height = floor + BOTTOM
    if mark is not None:
        at_value, words = mark
        parts += [
            _line(x(at_value), TOP - 4, x(at_value), floor, "dash"),
            _text(x(at_value) + 5, TOP + 4, words, "tick"),
        ]
    anchors = ["start", *["middle"] * (len(ticks) - 2), "end"]
    parts += [
        _text(x(at), floor + 17, words, "tick", anchor)
        for (at, words), anchor in zip(ticks, anchors, strict=True)
    ]
    parts.append(_text(WIDTH / 2, height - 6, axis, "title", "middle"))
    return _svg(height, label, parts)


def timeline(points: Sequence[tuple[float, float]], seconds: int = 120) -> Markup:
    """Predictions and failures per second in the last two minutes, the newest at the right."""
    height, floor = 176, 148
    ticks = value_ticks(0, max([4.0, *(max(pair) for pair in points)]))
    x = _scale(-seconds, 0, LEFT, WIDTH - RIGHT)
    y = _scale(0, ticks[-1][0], floor, TOP)
    at = [x(place - len(points) + 1) for place in range(len(points))]
    served = _path([(x, y(pair[0])) for x, pair in zip(at, points, strict=True)])
    failed = _path([(x, y(pair[1])) for x, pair in zip(at, points, strict=True)])
    area = f"{served}L{_n(x(0))} {floor}L{_n(at[0])} {floor}Z" if points else "M0 0"
    marks = [
        part
        for tick, words in ticks
        for part in (
            _line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid"),
            _text(LEFT - 7, y(tick) + 4, words, "tick", "end"),
        )
    ]
    ends = [(-seconds, "2 minutes ago", "start"), (0, "now", "end")]
    latest = points[-1] if points else (0.0, 0.0)
    return _svg(
        height,
        f"The last two minutes: now {number(latest[0])} predictions "
        f"and {number(latest[1])} failures per second",
        [
            *marks,
            f'<path class="area" d="{area}"/><path class="curve" d="{served}"/>',
            f'<path class="curve failed" d="{failed}"/>' if any(p[1] for p in points) else "",
            *[_text(x(when), floor + 18, words, "tick", anchor) for when, words, anchor in ends],
        ],
    )


def _stack(dots: Sequence[Dot], x: float, floor: float, step: float) -> list[str]:
    return [
        f'<circle class="k{dot.colour % COLOURS}" cx="{_n(x)}" '
        f'cy="{_n(floor - (level + 0.5) * step)}" r="{_n(step / 2 - 0.6)}">'
        f"<title>{escape(dot.title)}</title></circle>"
        for level, dot in enumerate(dots)
    ]


def gauge_mark(threshold: float) -> Markup:
    """The tick of the decision threshold on the half-circle gauge of a probability."""
    angle = math.pi * (1 - threshold)
    inner, outer = (
        (100 + r * math.cos(angle), 100 - r * math.sin(angle))
        for r in (GAUGE_RADIUS - 14, GAUGE_RADIUS + 14)
    )
    return Markup(_line(*inner, *outer, "mark"))


def _svg(height: float, label: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {_n(height)}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _square(x: Callable[[float], float], y: Callable[[float], float]) -> str:
    """The frame of a chart whose two axes both run from 0 to 100%."""
    parts = [f'<rect class="plot" x="{LEFT}" y="{TOP}" width="{PLOT}" height="{PLOT}"/>']
    for tick, words in PERCENT_TICKS:
        if 0 < tick < 1:
            parts += [
                _line(x(tick), TOP, x(tick), TOP + PLOT, "grid"),
                _line(LEFT, y(tick), LEFT + PLOT, y(tick), "grid"),
            ]
        parts += [
            _text(x(tick), TOP + PLOT + 17, words, "tick", "middle"),
            _text(LEFT - 7, y(tick) + 4, words, "tick", "end"),
        ]
    return "".join(parts)


def _axis_titles(across: str, up: str, height: float) -> str:
    middle = TOP + PLOT / 2
    return _text(LEFT + PLOT / 2, height - 6, across, "title", "middle") + (
        f'<text class="title" transform="translate(12 {_n(middle)}) rotate(-90)" '
        f'text-anchor="middle">{escape(up)}</text>'
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points) if points else "M0 0"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    place = f'x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(words)}</text>'


def _n(value: float) -> str:
    """A coordinate with one decimal: precise enough for any screen, and short."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
