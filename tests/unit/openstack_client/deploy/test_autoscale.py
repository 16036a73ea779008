"""autoscale: what it does and says, with a deployment that exists in memory alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from openstack_client.cloud.resources import Port, Server
from openstack_client.deploy.autoscale import EVERY, LONGEST_PAUSE, Autoscaler, Seen
from openstack_client.deploy.readings import readings_file, remember, remembered
from openstack_client.errors import (
    Busy,
    LauncherError,
    NoDeployment,
    PreflightError,
    Problem,
    ServerError,
)
from openstack_client.plan.autoscale import COOL_DOWN, Decision, History, Kind, Limits
from openstack_client.plan.inventory import Inventory, mark
from openstack_client.plan.load import Load

NO_SSH = ServerError("The ssh connection to 192.0.2.1 failed: timed out.", "Try `ssh`.")


def deployment(count: int) -> Inventory:
    parts = [f"worker-{number}" for number in range(1, count + 1)]
    servers = [Server(part, part, "ACTIVE", metadata={"stackserve_part": part}) for part in parts]
    ports = [Port(f"p-{part}", part, mark("x", "00", part)) for part in parts]
    return Inventory("x", servers=tuple(servers), ports=tuple(ports))


@dataclass
class Memory:
    """A deployment that changes at once, and a clock that `sleep` moves."""

    count: int = 2
    wait: float = 2.0
    now: float = 0.0
    is_changing: bool = False
    figures: LauncherError | None = None
    refusal: LauncherError | None = None
    lines: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    plan: dict[float, Callable[[Memory], None]] = field(default_factory=dict)
    """What happens at these moments."""
    end: float = 600.0

    def look(self) -> Seen:
        return Seen(deployment(self.count), self.is_changing)

    def load(self, seen: Seen) -> Load:
        if self.figures:
            raise self.figures
        return Load(self.wait, 0.9 if self.wait > 1 else 0.6, workers=self.count)

    def scale(self, seen: Seen, count: int) -> None:
        if self.refusal:
            raise self.refusal
        self.count = count

    def decided(self, before: int, decision: Decision) -> None:
        self.lines.append(f"{self.now:.0f} {decision.kind} {before} {decision.count}")

    def note(self, text: str) -> None:
        self.lines.append(f"{self.now:.0f} {text}")

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        for at in [at for at in self.plan if self.now < at <= self.now + seconds]:
            self.plan.pop(at)(self)
        self.now += seconds
        if self.now > self.end:
            raise KeyboardInterrupt

    def run(self, least: int = 0, most: int = 4) -> list[str]:
        """Everything that is said until the end."""
        scaler = Autoscaler(
            team=self,
            limits=Limits(least, most),
            report=self,
            clock=lambda: self.now,
            sleep=self.sleep,
        )
        with pytest.raises(KeyboardInterrupt):
            scaler.run()
        assert scaler.changing == ""
        return self.lines


def test_it_grows_until_the_limit_and_says_so_once() -> None:
    memory = Memory(end=3600)
    assert memory.run() == ["45 grow 2 3", "225 grow 3 4", "405 limit 4 4"]
    assert memory.count == 4 and set(memory.pauses) == {EVERY}


def test_it_is_quiet_while_nothing_changes() -> None:
    assert Memory(wait=0.1).run() == []


def test_figures_that_cannot_be_had_are_said_once_and_asked_for_less_and_less_often() -> None:
    memory = Memory(figures=NO_SSH, end=1800)

    def back(memory: Memory) -> None:
        memory.figures = None
        memory.wait = 0.1

    memory.plan = {1000.0: back}
    said = memory.run()
    assert said[0] == f"0 {NO_SSH.what} Trying again."
    assert len(said) == 2 and said[1].endswith("hold 2 2")
    assert memory.pauses[:6] == [30, 60, 120, 240, LONGEST_PAUSE, LONGEST_PAUSE]
    assert memory.pauses[-1] == EVERY and memory.count == 2


def test_while_somebody_else_changes_it_nothing_is_done() -> None:
    def begin(memory: Memory) -> None:
        memory.is_changing, memory.count = True, 3

    def finish(memory: Memory) -> None:
        memory.is_changing = False

    memory = Memory(plan={30.0: begin, 400.0: finish}, end=560)
    said = memory.run()
    assert said[:2] == ["30 wait 3 3", "405 Somebody changed the number from 2 to 3."]
    assert not any("grow" in line for line in said)
    memory.end += COOL_DOWN
    assert Memory.run(memory)[-1].endswith("grow 3 4")


def test_a_number_outside_the_limits_is_respected_and_said_once() -> None:
    def scale(memory: Memory) -> None:
        memory.count = 8

    memory = Memory(wait=0.1, plan={30.0: scale}, end=3600)
    assert memory.run() == ["30 Somebody changed the number from 2 to 8.", "30 respect 8 8"]
    assert memory.count == 8


def test_somebody_who_is_faster_wins() -> None:
    """The plan finds other servers than those that the decision was made for."""
    memory = Memory(refusal=Busy("Another run has just changed it."))
    assert memory.run()[:2] == ["45 grow 2 3", "45 wait 2 2"]
    assert memory.count == 2


def test_a_failed_change_is_said_and_tried_again_later_and_later() -> None:
    problem = Problem("quota of servers", "1 more needed, 0 left.")
    memory = Memory(refusal=PreflightError("1 problem found.", problems=[problem]), end=2000)
    said = memory.run()
    assert said[1] == "45 1 problem found. quota of servers: 1 more needed, 0 left. Trying again."
    tried = [float(line.split()[0]) for line in said if "grow" in line]
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert pauses == sorted(pauses) and pauses[0] >= 2 * COOL_DOWN and len(pauses) == 2


def test_it_ends_when_the_deployment_is_gone() -> None:
    memory = Memory(figures=NoDeployment("No deployment named 'x'."))
    scaler = Autoscaler(team=memory, limits=Limits(0, 4), report=memory, sleep=memory.sleep)
    with pytest.raises(NoDeployment):
        scaler.run()
    assert memory.pauses == []


def test_ctrl_c_in_a_change_leaves_word_of_it() -> None:
    class Interrupting(Memory):
        def scale(self, seen: Seen, count: int) -> None:
            raise KeyboardInterrupt

    memory = Interrupting()
    scaler = Autoscaler(
        team=memory,
        limits=Limits(0, 4),
        report=memory,
        clock=lambda: memory.now,
        sleep=memory.sleep,
    )
    with pytest.raises(KeyboardInterrupt):
        scaler.run()
    assert scaler.changing == "from 2 to 3 worker VMs"


# Cron


LIMITS = Limits(0, 4)


def once(memory: Memory, file: Path, limits: Limits = LIMITS) -> Kind:
    """One run, which remembers what earlier ones have read."""
    history = remembered(file, limits)
    scaler = Autoscaler(
        team=memory, limits=limits, report=memory, history=history, clock=lambda: memory.now
    )
    kind = scaler.step().kind
    remember(file, limits, scaler.history)
    memory.now += 60
    return kind


def test_runs_of_cron_decide_like_one_that_keeps_running(tmp_path: Path) -> None:
    file, memory = readings_file(tmp_path, "x"), Memory()
    kinds = [once(memory, file) for _ in range(6)]
    assert kinds == [Kind.HOLD, Kind.GROW, Kind.HOLD, Kind.HOLD, Kind.GROW, Kind.HOLD]
    assert memory.count == 4
    memory.count = 7
    assert once(memory, file) is Kind.RESPECT
    # Other limits are a new order.
    assert once(memory, file, Limits(0, 6)) is Kind.SHRINK and memory.count == 6


@pytest.mark.parametrize("content", [b"", b"{", b'{"limits": {}}', b"[1]"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    file = readings_file(tmp_path, "x")
    assert remembered(file, Limits(0, 4)) == History()
    file.parent.mkdir()
    file.write_bytes(content)
    assert remembered(file, Limits(0, 4)) == History()
    assert once(Memory(), file) is Kind.HOLD
    assert remembered(file, Limits(0, 4)).readings
    assert [path.name for path in file.parent.iterdir()] == ["x.json"]
