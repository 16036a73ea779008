"""Plans and lists as tables, or as JSON values."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from openstack_client.plan.model import Action, Plan

STYLES = {
    Action.CREATE: "green",
    Action.FOUND: "dim",
    Action.CHANGE: "yellow",
    Action.REPLACE: "red",
    Action.START: "yellow",
    Action.REMOVE: "red",
}


def plan_json(plan: Plan, source: str) -> dict[str, Any]:
    """A plan as a JSON value."""
    front = plan.front
    return {
        "name": plan.name,
        "credentials": source,
        "can_go": not plan.problems,
        "items": [
            {
                "kind": item.kind,
                "name": item.name,
                "action": str(item.action),
                "detail": item.detail,
                "id": item.id,
            }
            for item in plan.items
        ],
        "problems": [problem.as_json() for problem in plan.problems],
        "warnings": plan.warnings,
        "access": plan.access or None,
        "tls": plan.secured and plan.secured.flags,
        "certificate": plan.certificate and plan.certificate.sentence,
        "openings": [opening.as_json() for opening in plan.openings],
        "ssh_from": plan.ssh and {"networks": list(plan.ssh.networks), "why": plan.ssh.why},
        "loss": plan.loss or None,
        "code_hash": front.parcel.code_hash if front.parcel else None,
        "image": front.image
        and {
            "id": front.image.id,
            "name": front.image.name,
            "why": front.image_why,
        },
        "user_data_bytes": len(front.parcel.data) if front.parcel else None,
    }


def show_plan(console: Console, plan: Plan) -> None:
    """Print a plan as a table with its warnings. Its problems are raised as an error later."""
    console.print(f"Plan for {plan.name!r}:", markup=False)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for column in ("action", "kind", "name", "detail"):
        table.add_column(column, overflow="fold")
    for item in plan.items:
        table.add_row(
            Text(str(item.action), style=STYLES[item.action]),
            Text(item.kind),
            Text(item.name),
            Text(item.detail),
        )
    console.print(table)
    reasons = [(member.image.name, member.image_why) for member in plan.servers if member.image]
    for name, why in dict.fromkeys(reasons):
        console.print(f"Image {name!r}: {why}.", markup=False, highlight=False)
    _show_openings(console, plan)
    if plan.access:
        console.print(f"Access: {plan.access}", markup=False, highlight=False)
    if plan.certificate:
        line = f"Certificate: {plan.certificate.sentence}."
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for warning in plan.warnings:
        console.print(f"Note: {warning}", style="yellow", markup=False, highlight=False)
    if plan.loss:
        console.print(f"Warning: {plan.loss}", style="bold red", markup=False, highlight=False)


def _show_openings(console: Console, plan: Plan) -> None:
    """Each opening on a line of its own, in words that need no header."""
    several = len({opening.server for opening in plan.openings}) > 1
    for opening in plan.openings:
        where = f" of each {opening.server}" if several else ""
        line = f"Open: {opening.place}{where}, from {opening.source}: {opening.who}."
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if plan.ssh:
        console.print(plan.ssh.sentence, markup=False, highlight=False, soft_wrap=True)


def table_of(rows: list[dict[str, Any]], columns: list[str]) -> Table:
    """Rows as a table with a header."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if row.get(c) is None else str(row.get(c, ""))) for c in columns))
    return table
