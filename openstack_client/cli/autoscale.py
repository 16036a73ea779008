"""autoscale: keep the number of worker VMs at what the load asks for."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.cli.team import OpenStackTeam
from openstack_client.deploy.autoscale import Autoscaler
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.readings import readings_file, remember, remembered
from openstack_client.errors import Interrupted, SettingsError
from openstack_client.plan.autoscale import Decision, Kind, Limits
from openstack_client.settings import Settings

# As many as --worker-vms allows.
MOST = 64


@click.command()
@name_argument
@click.option(
    "--min", "least", type=click.IntRange(0, MOST), required=True, help="Fewest worker VMs."
)
@click.option("--max", "most", type=click.IntRange(0, MOST), required=True, help="Most worker VMs.")
@click.option("--once", is_flag=True, help="Decide once and exit: for cron, each minute.")
@settings_flags(name for name in Settings.model_fields if name not in {"worker_vms", "ttl"})
@cloud_flags
@report_errors
def autoscale(*, least: int, most: int, once: bool, **flags: Any) -> None:
    """Keep the number of worker VMs at what the load asks for, until Ctrl-C.

    It reads queue wait and busy share from the front end, and changes the number as `scale` does,
    without a question. A number that somebody else chooses is left alone for a while, and for good
    if it is outside the limits.
    """
    if least > most:
        raise SettingsError(f"--min {least} is more than --max {most}.", "Exchange them.")
    session = open_session(flags)
    interrupts = Interrupts()
    with interrupts.installed():
        team = OpenStackTeam(session, session.login(), interrupts)
        scaler = Autoscaler(team=team, limits=Limits(least, most), report=Lines(session))
        with ending_cleanly(scaler, session):
            if once:
                decide_once(scaler, session)
            else:
                for problem in team.why_not(most):
                    scaler.report.note(f"{most} worker VMs are not possible now: {problem}")
                scaler.report.note(f"Keeping {least} to {most} worker VMs. Press Ctrl-C to end.")
                scaler.run()


def decide_once(scaler: Autoscaler, session: Session) -> None:
    """Decide with what earlier runs have read, and keep it for later ones."""
    file = readings_file(session.folder, session.name)
    scaler.history = remembered(file, scaler.limits)
    try:
        decision = scaler.step()
    finally:
        remember(file, scaler.limits, scaler.history)
    if not decision.acts:
        scaler.report.decided(decision.count, decision)


@contextmanager
def ending_cleanly(scaler: Autoscaler, session: Session) -> Iterator[None]:
    """Ctrl-C is how this command ends, unless something was being changed."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if scaler.changing:
            raise Interrupted(
                f"Stopped while it went {scaler.changing}.",
                f"`scale {session.name}` repairs what is there; autoscale goes on from it.",
            ) from stop
        scaler.report.note("Stopped. All worker VMs stay as they are.")


@dataclass(frozen=True)
class Lines:
    """Prints one line, or one JSON object, for each event."""

    session: Session

    def decided(self, before: int, decision: Decision) -> None:
        if self.session.as_json:
            self._event(
                event="decision",
                kind=str(decision.kind),
                before=before,
                worker_vms=decision.count,
                reason=decision.reason,
            )
            return
        self._line(f"{_described(before, decision)}: {decision.reason}.")

    def note(self, text: str) -> None:
        if self.session.as_json:
            self._event(event="note", text=text)
        else:
            self._line(text)

    def _event(self, **content: Any) -> None:
        click.echo(json.dumps({**content, "time": _now().isoformat(timespec="seconds")}))

    def _line(self, text: str) -> None:
        click.echo(f"{_now().astimezone():%Y-%m-%d %H:%M:%S}  {text}")


def _described(before: int, decision: Decision) -> str:
    vms = "1 worker VM" if decision.count == 1 else f"{decision.count} worker VMs"
    if decision.kind is Kind.REPAIR:
        return f"Repairing {vms}"
    if decision.acts:
        return f"From {before} to {vms}"
    return f"{vms} stay" if decision.count != 1 else f"{vms} stays"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
