"""When the web tier goes on to another version, by what the workers say."""

from __future__ import annotations

import pytest

from production_server.messaging.workers import Step, WorkerState, next_step

OLD, NEW = "toy-1", "toy-2"


def worker(*models: str, vm: str | None = None, taking: bool = True, why: str = "") -> WorkerState:
    missing = {NEW: why} if why else {}
    return WorkerState(
        models=list(models), load_failures=0, vm=vm, taking_tasks=taking, missing=missing
    )


HAS = worker(OLD, NEW)
HAS_NOT = worker(OLD)
VM_HAS = worker(OLD, NEW, vm="w1")
VM_GETS_IT = worker(OLD, vm="w2")
VM_CANNOT = worker(OLD, vm="w3", why="no space left")
VM_LEFT = worker(OLD, vm="w4", taking=False)


@pytest.mark.parametrize(
    ("states", "patient", "impatient"),
    [
        ([], Step.WAIT, Step.WAIT),
        ([HAS, VM_HAS], Step.SWITCH, Step.SWITCH),
        # A worker on the server itself is waited for.
        ([HAS, HAS_NOT], Step.WAIT, Step.WAIT),
        ([HAS_NOT, VM_HAS], Step.WAIT, Step.WAIT),
        ([HAS, VM_GETS_IT], Step.WAIT, Step.LEAVE),
        ([VM_HAS, VM_CANNOT], Step.LEAVE, Step.LEAVE),
        ([VM_HAS, VM_CANNOT, VM_GETS_IT], Step.WAIT, Step.LEAVE),
        ([VM_HAS, VM_LEFT], Step.SWITCH, Step.SWITCH),
        # A version that no worker can load must not stop the service.
        ([VM_CANNOT], Step.WAIT, Step.WAIT),
        ([VM_GETS_IT, VM_CANNOT], Step.WAIT, Step.WAIT),
        ([VM_LEFT], Step.WAIT, Step.WAIT),
    ],
)
def test_what_to_do(states: list[WorkerState], patient: Step, impatient: Step) -> None:
    assert next_step(states, NEW, wait=True) is patient
    assert next_step(states, NEW, wait=False) is impatient
