"""Draw the results of `scripts/bench serving` as an SVG bar chart of requests per second."""

from __future__ import annotations

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


def draw(report: dict[str, Any]) -> str:
    panels = [(count, best_rates(report, count)) for count in PANELS]
    height = TOP + max(len(bars) for _, bars in panels) * (BAR + GAP) + 24
    width = len(PANELS) * (LABEL_WIDTH + PANEL_WIDTH + NUMBER_WIDTH)
    machine = report["machine"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="Requests per second">',
        f"<style>{STYLE}</style>",
    ]
    for number, (connections, bars) in enumerate(panels):
        left = number * (LABEL_WIDTH + PANEL_WIDTH + NUMBER_WIDTH)
        plural = "" if connections == 1 else "s"
        parts.append(
            f'<text class="title" x="{left + 8}" y="22">Requests per second, '
            f"{connections} connection{plural}</text>"
        )
        parts += _bars(bars, left)
    caption = (
        f"{machine['cores']} cores of {machine['cpu']}, load generator and services on the same "
        f"machine, medians of {report['rounds']} rounds, {report['began'][:10]}"
    )
    parts += [f'<text class="small" x="8" y="{height - 8}">{escape(caption)}</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def _bars(bars: dict[str, float], left: int) -> list[str]:
    highest = max(bars.values(), default=1.0)
    parts = []
    for number, (system, rps) in enumerate(bars.items()):
        top = TOP - 18 + number * (BAR + GAP)
        start = left + LABEL_WIDTH
        length = max(1.0, rps / highest * PANEL_WIDTH)
        kind = "bar ours" if system == OURS else "bar"
        middle = top + BAR * 0.72
        parts += [
            f'<text x="{start - 8}" y="{middle:.0f}" text-anchor="end">{NAMES[system]}</text>',
            f'<rect class="{kind}" x="{start}" y="{top}" width="{length:.1f}" height="{BAR}" '
            f'rx="2"/>',
            f'<text x="{start + length + 6:.0f}" y="{middle:.0f}">{rps:,.0f}</text>',
        ]
    return parts
