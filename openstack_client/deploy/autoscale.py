"""Keep the number of worker VMs at what the load asks for: read, decide, change, and say why."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from openstack_client.errors import (
    Busy,
    CredentialsError,
    Interrupted,
    LauncherError,
    NoDeployment,
    SettingsError,
)
from openstack_client.plan.autoscale import Decision, History, Kind, Limits, Reading, decide
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.load import Load
from openstack_client.plan.workers import broken

EVERY = 15.0
LONGEST_PAUSE = 300.0
# With these, another attempt would end the same way.
FINAL = (CredentialsError, Interrupted, NoDeployment, SettingsError)


@dataclass(frozen=True)
class Seen:
    """A deployment at a moment."""

    mine: Inventory
    is_changing: bool
    """Whether another run is changing it."""


class Team(Protocol):
    """A deployment, as autoscale sees and changes it. All raise LauncherError."""

    def look(self) -> Seen:
        """What there is."""

    def load(self, seen: Seen) -> Load:
        """How much there is to do."""

    def scale(self, seen: Seen, count: int) -> None:
        """Have so many worker VMs that work. Raises Busy if it is not as seen any more."""


class Report(Protocol):
    """Tells people what happens, in one line each."""

    def decided(self, before: int, decision: Decision) -> None: ...
    def note(self, text: str) -> None: ...


@dataclass(kw_only=True)
class Autoscaler:
    """Reads, decides and changes, once or for ever."""

    team: Team
    limits: Limits
    report: Report
    history: History = field(default_factory=History)
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    changing: str = ""
    """What is being changed now, if anything."""
    said: str = ""
    """What was said last, if the reason for it may still hold."""

    def step(self) -> Decision:
        """Decide once, and change the number if it is to change."""
        seen = self.team.look()
        count = len(seen.mine.workers)
        if seen.is_changing:
            return self._leave(count)
        self._read(count, self.team.load(seen))
        decision = decide(self.history, self.limits, broken(seen.mine))
        return self._act(seen, count, decision) if decision.acts else decision

    def run(self) -> None:
        """Go on until something makes it impossible, or until Ctrl-C."""
        pause = EVERY
        while True:
            try:
                self._tell(self.step())
                pause = EVERY
            except FINAL:
                raise
            except LauncherError as error:
                if self.said != error.code:
                    self.report.note(f"{summary(error)} Trying again.")
                self.said = error.code
                pause = min(pause * 2, LONGEST_PAUSE)
            self.sleep(pause)

    def _read(self, count: int, load: Load) -> None:
        before = self.history.readings[-1:]
        self.history = self.history.seen(Reading(self.clock(), count, load))
        if before and before[0].count != count and self.history.theirs:
            self.report.note(f"Somebody changed the number from {before[0].count} to {count}.")

    def _act(self, seen: Seen, count: int, decision: Decision) -> Decision:
        self.report.decided(count, decision)
        self.changing = f"from {count} to {decision.count} worker VMs"
        try:
            self.team.scale(seen, decision.count)
            self.history = self.history.asked(decision.count, self.clock())
        except Busy:
            decision = self._leave(count)
        except LauncherError:
            self.history = self.history.failed(self.clock())
            self.changing = ""
            raise
        self.changing = ""
        return decision

    def _leave(self, count: int) -> Decision:
        """Somebody else is at it: wait, and take the number that they choose."""
        self.history = self.history.disturbed(self.clock())
        return Decision(Kind.WAIT, count, "another run is changing the deployment")

    def _tell(self, decision: Decision) -> None:
        """Say what is new. A change was said before it began."""
        about = f"{decision.kind} {decision.count}"
        if decision.kind is Kind.HOLD:
            # A limit that is reached again and again is said once.
            if self.said.startswith((Kind.LIMIT, Kind.RESPECT)) or not self.said:
                return
            about = ""
        if about != self.said and not decision.acts:
            self.report.decided(decision.count, decision)
        self.said = "" if decision.acts else about


def summary(error: LauncherError) -> str:
    """An error in one line."""
    return " ".join([error.what, *map(str, error.problems)])
