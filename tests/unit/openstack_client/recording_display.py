"""A display for tests that records everything."""

from __future__ import annotations

from openstack_client.watch.progress import Step


class RecordingDisplay:
    """Records steps, notes and console lines."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.lines: list[str] = []

    def step(self, step: Step) -> None:
        self.steps.append(step)

    def note(self, text: str, seconds: float) -> None:
        self.notes.append(text)

    def console(self, line: str) -> None:
        self.lines.append(line)

    def close(self) -> None:
        return
