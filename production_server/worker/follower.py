"""Keeps a worker VM at the version that its server serves.

A thread asks the server which version is active, gets it if the registry lacks it, and loads it. It
does so at each connection, before the process takes tasks, and when the server says that another
version became active. What fails is tried again after a pause that doubles.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from production_server.errors import RegistryError, StackserveError
from production_server.messaging.model_parts import Active
from production_server.model import rollout
from production_server.model.registry import Registry
from production_server.worker.front_end import Refused
from production_server.worker.model_cache import ModelCache, VersionMissing
from production_server.worker.status import report

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# A chunk waits this long for its version, and RabbitMQ for a heartbeat a little longer.
CHUNK_PATIENCE = 20.0
REASON_LENGTH = 300
# On the disk of the worker VM. At most three of them are in memory.
KEPT_VERSIONS = 5


class Source(Protocol):
    """The server, from which versions come."""

    def active(self) -> Active: ...

    def fetch(self, version: str, folder: Path) -> None: ...


class Follower:
    """Decides when this process may take tasks. Its gate must be set before it starts."""

    def __init__(self, registry: Registry, cache: ModelCache, source: Source) -> None:
        self._registry = registry
        self._cache = cache
        self._source = source
        self.close_gate: Callable[[], None] = lambda: None
        self.check_gate: Callable[[], None] = lambda: None
        self._digests = {version: registry.digest(version) for version in cache.versions()}
        # Versions that this process must get before it takes more tasks.
        self._lacking: set[str] = set()
        # Versions that cannot be got, and why. The server does not have the last ones either.
        self.missing: dict[str, str] = {}
        self._gone: set[str] = set()
        # What the server named last, and whether this process has seen to it.
        self._heard = ""
        self._seen_to = True
        self._joined = False
        self._wake = threading.Event()
        self._changed = threading.Condition()
        self._stopping = False

    def start(self) -> None:
        self._cache.supply = self.supply
        threading.Thread(target=self._run, name="follower", daemon=True).start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    # On the thread that runs tasks

    def may_take_tasks(self) -> bool:
        return self._joined and not self._lacking

    def connected(self) -> None:
        """Catch up before the first task."""
        self._joined = False
        self._begin_again()

    def hear(self, version: str) -> None:
        """The server is about to serve this version."""
        if version != self._heard:
            self._heard, self._seen_to = version, False
            self._begin_again()

    def leave(self, version: str) -> None:
        """Take no more tasks before this process has the version."""
        if version not in self.ready_versions():
            self._lack(version)

    def ready_versions(self) -> list[str]:
        """The loaded versions. One that was just named may have other contents than before."""
        loaded = self._cache.versions()
        return [one for one in loaded if self._seen_to or one != self._heard]

    def supply(self, version: str, wait: bool) -> None:
        """Get a version that a task needs and this process has not loaded."""
        if self._registry.holds(version):
            return
        if version in self._gone:
            raise RegistryError(f"the server does not have {version}")
        self._lack(version)
        until = time.monotonic() + (CHUNK_PATIENCE if wait else 0.0)
        with self._changed:
            while version in self._lacking and version not in self.missing:
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise VersionMissing(f"this worker does not have {version} yet")
        if version in self.missing:
            raise VersionMissing(f"this worker cannot get {version}: {self.missing[version]}")

    def _begin_again(self) -> None:
        with self._changed:
            self._lacking.clear()
            self._gone.clear()
        self._wake.set()

    def _lack(self, version: str) -> None:
        with self._changed:
            new = version not in self._lacking
            self._lacking.add(version)
        if new:
            log.warning("taking no tasks until model %s is here", version)
            self.close_gate()
            self._wake.set()

    # On its own thread

    def _run(self) -> None:
        pause = FIRST_PAUSE
        done = True
        while not self._stopping:
            self._wake.wait(None if done else pause)
            if self._wake.is_set():
                pause = FIRST_PAUSE
            self._wake.clear()
            try:
                done = self.catch_up()
            except Exception:  # if this thread ended, the worker would never change its model
                log.exception("cannot follow the server's active model")
                done = False
            pause = FIRST_PAUSE if done else min(LONGEST_PAUSE, 2 * pause)
            with self._changed:
                self._changed.notify_all()
            self.check_gate()

    def catch_up(self) -> bool:
        """Get what the server serves and what tasks need. Return False to be called again."""
        heard = self._heard
        try:
            active = self._source.active()
        except StackserveError as error:
            # Without an answer, the server still works: serve what is here.
            log.warning("cannot ask the server which model is active: %s", error)
            self.missing |= dict.fromkeys(self._lacking, str(error)[:REASON_LENGTH])
            self._joined = True
            return False
        trial = active.trial
        wanted = dict.fromkeys(self._lacking) | {active.version: active.digest}
        if trial is not None:
            wanted[trial.candidate.version] = trial.digest
        self._forget_all_but(wanted)
        results = [self._get(version, digest) for version, digest in wanted.items()]
        if active.version not in self.missing:
            self._joined = True
            if self._registry.active() != active.version:
                self._registry.activate(active.version)
                self._delete_old()
            self._follow_trial(trial.candidate if trial is not None else None)
            if heard == self._heard:
                self._seen_to = True
        return all(results)

    def _follow_trial(self, trial: rollout.Candidate | None) -> None:
        """Keep the version on trial in memory and on the disk, as the server does."""
        if trial is not None and trial.version in self.missing:
            trial = None
        if trial is None and rollout.candidate(self._registry) is not None:
            rollout.withdraw(self._registry)
        elif trial is not None and rollout.candidate(self._registry) != trial:
            rollout.start(self._registry, trial)

    def _delete_old(self) -> None:
        """Keep the disk from filling up. A task can still get an old version again."""
        for version in self._registry.oldest_first()[:-KEPT_VERSIONS]:
            if version not in self._cache.versions():
                self._registry.delete(version)
                log.info("deleted model %s, which is old", version)

    def _forget_all_but(self, wanted: dict[str, str | None]) -> None:
        for version in self.missing.keys() - wanted.keys():
            del self.missing[version]

    def _get(self, version: str, digest: str | None) -> bool:
        began = time.monotonic()
        try:
            if not self._registry.holds(version, digest):
                log.info("getting model %s from the server", version)
                fetch = partial(self._source.fetch, version)
                self._registry.receive(version, digest, fetch)
                log.info("got model %s in %.1f s", version, time.monotonic() - began)
            found = self._registry.digest(version)
            self._cache.load(version, again=self._digests.get(version, found) != found)
            self._digests[version] = found
        except Exception as error:  # a model can raise anything
            log.warning("cannot get model %s", version, exc_info=True)
            self._failed(version, error)
            return False
        with self._changed:
            self.missing.pop(version, None)
            self._lacking.discard(version)
        return True

    def _failed(self, version: str, error: Exception) -> None:
        self._cache.failures += 1
        self.missing[version] = (str(error) or type(error).__name__)[:REASON_LENGTH]
        if isinstance(error, Refused):
            with self._changed:
                self._gone.add(version)
                self._lacking.discard(version)
        if not self.may_take_tasks():
            report(f"cannot get model {version}: {self.missing[version]}")
