"""The versions that the web tier uses: the active one, and the one on trial.

Either is used once the workers have loaded it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from production_server.messaging.workers import Step, Workers, cannot_get, next_step
from production_server.model import rollout
from production_server.model.card import Card
from production_server.model.registry import Registry
from production_server.model.rollout import Candidate
from production_server.web.rows import RowSchema
from production_server.web.tallies import Tally

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
# The pause after a failure doubles up to this.
LONGEST_PAUSE = 10.0
# How long to wait for the workers to load a new version before logging a warning.
LOAD_PATIENCE = 60.0
# How long to wait for a worker VM that is still getting it. It then joins again later.
VM_PATIENCE = 45.0


@dataclass(frozen=True)
class Pinned:
    """The version this process sends rows to, and the schema that checks them."""

    version: str
    card: Card
    schema: RowSchema
    # The version on trial beside the active one. It is here so that both are read at once.
    trial: Trial | None = None


@dataclass(frozen=True)
class Trial:
    """A version that the workers have loaded, beside the active one."""

    candidate: Candidate
    pinned: Pinned
    active_tally: Tally
    candidate_tally: Tally

    def tally(self, version: str) -> Tally:
        return self.candidate_tally if version == self.pinned.version else self.active_tally


class CurrentModel:
    """Follows the registry's active version and its candidate."""

    def __init__(
        self,
        registry: Registry,
        workers: Workers,
        max_rows: int,
        on_failure: Callable[[], None],
        tally: Callable[[Candidate, Card], Tally] = lambda _, card: Tally(card),
    ) -> None:
        """`on_failure` is called after each failed look at the registry or the workers.

        `tally` gives what the version of a card is counted with during a trial.
        """
        self._tally = tally
        self.registry = registry
        self._workers = workers
        self._on_failure = on_failure
        self._max_rows = max_rows
        self._stopping = threading.Event()
        self.pinned = self.pin(registry.active())

    def watch(self) -> None:
        threading.Thread(target=self._watch_loop, name="current-model", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def pin(self, version: str) -> Pinned:
        card = self.registry.card(version)
        return Pinned(version, card, RowSchema(card, self._max_rows))

    def workers_would_answer(self, version: str) -> bool:
        """Whether the server's workers have loaded a version. Those that lack it will load it.

        A worker VM that lacks it leaves the request to others.
        """
        states = self._workers.states(0.3, wanted=version)
        own = [state for state in states if not state.get("vm")]
        return bool(states) and all(version in state["models"] for state in own)

    def _watch_loop(self) -> None:
        pause = WATCH_SECONDS
        while not self._stopping.wait(pause):
            try:
                self._follow_trial(rollout.candidate(self.registry))
                active = self.registry.active()
                if active != self.pinned.version and self._workers_have(active):
                    self.pinned = self.pin(active)
                    log.info("now using model %s", active)
                pause = WATCH_SECONDS
            except Exception as error:  # if this thread ended, the model would never change
                log.exception("the active model cannot be used: %s", getattr(error, "remedy", ""))
                self._on_failure()
                pause = min(LONGEST_PAUSE, 2 * pause)

    def _follow_trial(self, candidate: Candidate | None) -> None:
        pinned = self.pinned
        present = pinned.trial.candidate if pinned.trial else None
        if candidate == present:
            return
        if pinned.trial is not None:
            self.pinned = pinned = replace(pinned, trial=None)
            log.info("the trial of model %s is over", present and present.version)
        # Beside a version that is not in use yet, it starts after that.
        if candidate is None or self.registry.active() != pinned.version:
            return
        if self._workers_have(candidate.version, candidate):
            self.pinned = replace(
                pinned,
                trial=Trial(
                    candidate,
                    self.pin(candidate.version),
                    self._tally(candidate, pinned.card),
                    self._tally(candidate, self.registry.card(candidate.version)),
                ),
            )
            log.info("model %s is on trial: %s", candidate.version, candidate.mode)

    def _workers_have(self, version: str, trial: Candidate | None = None) -> bool:
        began = time.monotonic()
        step = Step.WAIT
        while not self._stopping.wait(0.1) and (waited := time.monotonic() - began) < LOAD_PATIENCE:
            states = self._workers.states(wanted=version, leave=step is Step.LEAVE)
            step = next_step(states, version, wait=waited < VM_PATIENCE)
            if step is Step.LEAVE and trial is not None and cannot_get(states, version):
                # Not worth losing a worker VM.
                step = Step.WAIT
            if step is Step.SWITCH:
                return True
            if (
                rollout.candidate(self.registry) != trial
                if trial
                else (self.registry.active() != version)
            ):
                return False
        log.warning("model %s is not loaded yet; still using the previous one", version)
        return False
