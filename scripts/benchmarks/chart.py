"""Draw SVG bar charts: panels side by side, such as the results of `scripts/bench serving`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from benchmarks.results import peer_name
from benchmarks.systems import OURS

NAMES = {
    "stackserve": "Stackserve (queue)",
    "fastapi_onnx": "FastAPI + onnxruntime",
    "litserve": "LitServe",
    "bentoml": "BentoML",
    "mlflow": "MLflow",
    "ray_serve": "Ray Serve",
    "tutorial": "Flask + Celery tutorial",
}
PANELS = (1, 64)
PANEL_WIDTH, LABEL_WIDTH, NUMBER_WIDTH = 300, 170, 60
BAR, GAP, TOP = 18, 8, 58
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .small { font-size: 11px; fill: #59636e }
  .bar { fill: #8c959f } .ours { fill: #0a6fbd }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } .bar { fill: #656c76 } .ours { fill: #58a6ff }
  }
"""


def best_rates(report: dict[str, Any], connections: int) -> dict[str, float]:
    """Requests per second of each system with its faster setting, highest first."""
    best: dict[str, float] = {}
    for row in report["rows"]:
        if (row["connections"], row["rows_per_request"]) == (connections, 1):
            peer = peer_name(row["system"])
            best[peer] = max(best.get(peer, 0.0), row["rps"])
    return dict(sorted(best.items(), key=lambda item: -item[1]))


@dataclass(frozen=True)
class Bar:
    """A bar, the text after it, and whether it stands out."""

    label: str
    value: float
    text: str
    ours: bool = False


@dataclass(frozen=True)
class Panel:
    title: str
    bars: list[Bar]


def draw(report: dict[str, Any]) -> str:
    machine = report["machine"]
    caption = (
        f"{machine['cores']} cores of {machine['cpu']}, load generator and services on the same "
        f"machine, medians of {report['rounds']} rounds, {report['began'][:10]}"
    )
    panels = [_panel(best_rates(report, count), count) for count in PANELS]
    return drawing("Requests per second", panels, caption)


def _panel(rates: dict[str, float], connections: int) -> Panel:
    plural = "" if connections == 1 else "s"
    bars = [Bar(NAMES[name], rps, f"{rps:,.0f}", name == OURS) for name, rps in rates.items()]
    return Panel(f"Requests per second, {connections} connection{plural}", bars)


def drawing(label: str, panels: Sequence[Panel], caption: str) -> str:
    """The chart. The longest bar of each panel fills it."""
    panel_width = LABEL_WIDTH + PANEL_WIDTH + NUMBER_WIDTH
    height = TOP + max(len(panel.bars) for panel in panels) * (BAR + GAP) + 24
    width = len(panels) * panel_width
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{escape(label)}">',
        f"<style>{STYLE}</style>",
    ]
    for number, panel in enumerate(panels):
        left = number * panel_width
        parts.append(f'<text class="title" x="{left + 8}" y="22">{escape(panel.title)}</text>')
        parts += _bars(panel.bars, left)
    parts += [f'<text class="small" x="8" y="{height - 8}">{escape(caption)}</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def _bars(bars: list[Bar], left: int) -> list[str]:
    highest = max((bar.value for bar in bars), default=1.0)
    parts = []
    for number, bar in enumerate(bars):
        top = TOP - 18 + number * (BAR + GAP)
        start = left + LABEL_WIDTH
        length = max(1.0, bar.value / highest * PANEL_WIDTH)
        kind = "bar ours" if bar.ours else "bar"
        middle = top + BAR * 0.72
        parts += [
            f'<text x="{start - 8}" y="{middle:.0f}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect class="{kind}" x="{start}" y="{top}" width="{length:.1f}" height="{BAR}" '
            f'rx="2"/>',
            f'<text x="{start + length + 6:.0f}" y="{middle:.0f}">{escape(bar.text)}</text>',
        ]
    return parts
