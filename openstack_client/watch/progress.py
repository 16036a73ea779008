"""Show progress: a live table on a terminal, plain lines in a pipe, or JSON events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from openstack_client.watch import stages

SIGNS = {"begin": "…", "done": "✓", "failed": "✗"}
STYLES = {"begin": "yellow", "done": "green", "failed": "bold red"}


@dataclass(frozen=True)
class Step:
    """A stage's state; `seconds` since the command started, `took` since the stage did."""

    stage: str
    state: str
    seconds: float
    took: float = 0.0
    detail: str = ""
    server: str = ""
    """Which worker VM, or empty for the front end."""

    def as_json(self) -> dict[str, Any]:
        return {
            **({"server": self.server} if self.server else {}),
            "stage": self.stage,
            "state": self.state,
            "seconds": round(self.seconds, 1),
            "took": round(self.took, 1),
            "detail": self.detail,
        }


class Display(Protocol):
    """Where progress is shown."""

    def step(self, step: Step) -> None: ...
    def note(self, text: str, seconds: float) -> None: ...
    def console(self, line: str) -> None: ...
    def close(self) -> None: ...


@dataclass
class Progress:
    """Records the timeline and updates the display, once for each stage and state."""

    display: Display
    clock: Callable[[], float] = time.monotonic
    steps: dict[str, Step] = field(default_factory=dict)
    began: float | None = None
    server: str = ""
    """Which worker VM, or empty for the front end."""

    def __post_init__(self) -> None:
        self.start = self.clock() if self.began is None else self.began

    def of(self, server: str) -> Progress:
        """The progress of one worker VM, on the same display."""
        return Progress(self.display, self.clock, began=self.start, server=server)

    @property
    def elapsed(self) -> float:
        return self.clock() - self.start

    def stage(self, stage: str, state: str = "done", detail: str = "") -> None:
        before = self.steps.get(stage)
        if before and before.state in {state, "done"}:
            return
        started = before.seconds - before.took if before else self._last_done()
        now = self.elapsed
        took = 0.0 if state == "begin" else now - started
        step = Step(stage, state, now, took, detail, self.server)
        self.steps[stage] = step
        self.display.step(step)

    def note(self, text: str) -> None:
        self.display.note(f"{self.server}: {text}" if self.server else text, self.elapsed)

    def console(self, line: str) -> None:
        """Show a line of the console; several consoles would be a muddle."""
        if not self.server:
            self.display.console(line)

    def close(self) -> None:
        self.display.close()

    def timeline(self) -> list[dict[str, Any]]:
        return [step.as_json() for step in self.steps.values()]

    def _last_done(self) -> float:
        return max(
            (step.seconds for step in self.steps.values() if step.state == "done"), default=0
        )


class QuietDisplay:
    """Shows nothing."""

    def step(self, step: Step) -> None:
        return

    def note(self, text: str, seconds: float) -> None:
        return

    def console(self, line: str) -> None:
        return

    def close(self) -> None:
        return


class JsonDisplay:
    """Prints one JSON object per line."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def step(self, step: Step) -> None:
        self.event({"event": "stage", **step.as_json()})

    def note(self, text: str, seconds: float) -> None:
        self.event({"event": "note", "text": text, "seconds": round(seconds, 1)})

    def console(self, line: str) -> None:
        self.event({"event": "console", "line": line})

    def close(self) -> None:
        self.stream.flush()

    def event(self, content: dict[str, Any]) -> None:
        self.stream.write(json.dumps(content) + "\n")
        self.stream.flush()


class PlainDisplay:
    """Prints one line per event; console lines only when they change."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.last = ""

    def step(self, step: Step) -> None:
        took = f" ({step.took:.1f} s)" if step.took >= 0.1 else ""
        detail = f": {step.detail}" if step.detail else ""
        state = {"begin": "started", "done": "done", "failed": "FAILED"}[step.state]
        who = f"{step.server} " if step.server else ""
        self._line(f"[{step.seconds:6.1f} s] {who}{step.stage} {state}{took}{detail}")

    def note(self, text: str, seconds: float) -> None:
        self._line(f"[{seconds:6.1f} s] {text}")

    def console(self, line: str) -> None:
        if line and line != self.last:
            self.last = line
            self._line(f"           | {line}")

    def close(self) -> None:
        self.stream.flush()

    def _line(self, text: str) -> None:
        self.stream.write(text + "\n")
        self.stream.flush()


class LiveDisplay:
    """A live table with the last console line below it."""

    def __init__(
        self,
        console: Console,
        title: str,
        stages: Sequence[str] = stages.DEPLOY,
        *,
        began: float | None = None,
    ) -> None:
        self.title = title
        self.stages = stages
        self.began = time.monotonic() if began is None else began
        self.steps: dict[str, Step] = {}
        self.others: dict[str, Step] = {}
        self.last = ""
        self.spinner = Spinner("dots")
        self.live = Live(get_renderable=self._render, console=console, refresh_per_second=4)
        self.live.start()

    def step(self, step: Step) -> None:
        if step.server:
            self.others[step.server] = step
        else:
            self.steps[step.stage] = step

    def note(self, text: str, seconds: float) -> None:
        self.live.console.print(Text(f"[{seconds:6.1f} s] {text}", style="dim"))

    def console(self, line: str) -> None:
        self.last = line

    def close(self) -> None:
        self.live.stop()

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=2)
        table.add_column(width=13)
        table.add_column(justify="right", width=9)
        table.add_column()
        for stage in self.stages:
            step = self.steps.get(stage)
            if step is None:
                table.add_row("", Text(stage, style="dim"), "", "")
            else:
                table.add_row(*self._row(stage, step, step.detail))
        for server, step in sorted(self.others.items()):
            table.add_row(*self._row(server, step, f"{step.stage} {step.detail}"))
        elapsed = time.monotonic() - self.began
        parts: list[RenderableType] = [Text(f"{self.title}  {elapsed:.0f} s", style="bold"), table]
        if self.last:
            width = max(20, self.live.console.width - 4)
            parts.append(Text(f"  {self.last[:width]}", style="dim italic", no_wrap=True))
        return Group(*parts)

    def _row(self, name: str, step: Step, detail: str) -> tuple[RenderableType, ...]:
        sign: RenderableType = Text(SIGNS[step.state], style=STYLES[step.state])
        if step.state == "begin":
            sign = self.spinner
        at = f"{step.seconds:.1f} s" if step.state != "begin" else ""
        return sign, Text(name), at, Text(detail, style="dim")


def display(
    as_json: bool,
    stream: TextIO,
    title: str,
    stages: Sequence[str] = stages.DEPLOY,
    *,
    began: float | None = None,
) -> Display:
    """The display for this kind of output."""
    if as_json:
        return JsonDisplay(stream)
    if stream.isatty():
        return LiveDisplay(Console(file=stream), title, stages, began=began)
    return PlainDisplay(stream)
