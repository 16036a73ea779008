"""Draw the results of `scripts/bench scale` as an SVG bar chart."""

from __future__ import annotations

from typing import Any

from benchmarks.chart import Bar, Panel, drawing


def draw(report: dict[str, Any]) -> str:
    plan, machine = report["plan"], report["machine"]
    rows = plan["rows_per_request"]
    each = "1 row" if rows == 1 else f"{rows} rows"
    panels = [
        _panel(report, "job", "Rows per second of a job"),
        _panel(report, "answers", f"Requests per second, {each} each"),
    ]
    caption = (
        f"Hosts of {plan['quota']}% of a core on {machine['cores']} cores of {machine['cpu']}, "
        f"medians of {plan['rounds']} rounds, {report['began'][:10]}; in brackets: efficiency"
    )
    return drawing("Throughput by number of worker hosts", panels, caption)


def _panel(report: dict[str, Any], kind: str, title: str) -> Panel:
    bars = []
    for step in report["steps"]:
        count, rate = step["hosts"], step[kind]["rate"]
        label = "1 host" if count == 1 else f"{count} hosts"
        text = f"{rate:,.0f} ({step[kind]['efficiency']:.2f})"
        bars.append(Bar(label, rate, text, ours=True))
    return Panel(title, bars)
