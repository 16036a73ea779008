"""`scripts/lab status`: the health of each service, as a table or JSON."""

from __future__ import annotations

from typing import Any

from openstack_lab import control, memory, namespace, uplink
from openstack_lab.lab import load_choices
from openstack_lab.layout import Layout

COLUMNS = ("service", "state", "for", "restarts", "memory", "description")


def gather(layout: Layout) -> dict[str, Any]:
    """The status of the lab and its units."""
    choices = load_choices(layout)
    report: dict[str, Any] = {
        "folder": str(layout.folder),
        "running": bool(namespace.process_one(layout)),
        "hypervisor": str(choices.hypervisor) if choices else "",
        "api": f"http://{layout.settings.api_address}:5000/v3",
        "units": [],
        "memory_mib": 0,
    }
    if report["running"]:
        sizes = memory.by_unit(namespace.process_one(layout))
        report["units"] = control.ask(layout.control, "status")
        for unit in report["units"]:
            unit["memory_mib"] = sizes.get(unit["pid"], 0) if unit["pid"] else 0
        report["memory_mib"] = sum(sizes.values())
    report["connected"] = uplink.present(layout.settings)
    report["healthy"] = (
        report["running"]
        and report["connected"]
        and all(unit["state"] in ("ready", "done") for unit in report["units"])
    )
    return report


def table(report: dict[str, Any]) -> str:
    """The report as a table, without finished tasks."""
    if not report["running"]:
        return f"No lab is running in {report['folder']}. Start one: sudo scripts/lab up"
    rows = [
        (
            unit["name"],
            unit["state"],
            duration(unit["seconds"]),
            str(unit["restarts"]),
            f"{unit['memory_mib']} MiB",
            unit["reason"] or unit["title"],
        )
        for unit in report["units"]
        if not unit["task"] or unit["state"] != "done"
    ]
    widths = [max(len(row[i]) for row in (COLUMNS, *rows)) for i in range(len(COLUMNS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (COLUMNS, *rows)
    ]
    state = "healthy" if report["healthy"] else "not healthy"
    if not report["connected"]:
        lines.append("The link between this machine and the lab is missing. Run `scripts/lab up`.")
    lines.append(
        f"The lab in {report['folder']} (hypervisor {report['hypervisor']}) is {state}; "
        f"{report['memory_mib']} MiB of memory; {report['api']}"
    )
    return "\n".join(lines)


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
