"""Whether a server is ready, asked in the way that its role names."""

from __future__ import annotations

from collections.abc import Sequence

from openstack_client.roles import Ask, Watched
from openstack_client.watch import console
from openstack_client.watch.console import Mark
from openstack_client.watch.probe import Probe, Service


def ask(watched: Watched, service: Service, marks: Sequence[Mark]) -> Probe:
    """Ask once. `marks` is what the console shows; empty if it shows no stage."""
    if watched.ask is Ask.PREDICTION:
        return service.probe()
    last = watched.stages[-1]
    # A page may answer before the last step is done, which may still fail. A server that was
    # rebooted since then may show no stage.
    if marks and not console.is_ready(marks, last):
        return Probe(False, f"the step {last!r} is not done")
    if watched.ask is Ask.PAGE:
        return service.page(watched.path)
    return Probe(bool(marks), f"the step {last!r} is {'done' if marks else 'not shown'}")
