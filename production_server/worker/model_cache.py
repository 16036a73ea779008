"""The models in a worker's memory, loaded and warmed before they get requests."""

from __future__ import annotations

import ctypes
import gc
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from production_server.errors import StackserveError
from production_server.model import rollout
from production_server.model.registry import Registry

if TYPE_CHECKING:
    from production_server.model.predictor import Predictor

log = logging.getLogger(__name__)

# The active version, one on trial, and one more: that of jobs and requests that started earlier.
KEPT = 3
WATCH_SECONDS = 0.5
# The pause before the next attempt to load a version doubles up to this.
LONGEST_PAUSE = 60.0


def release_memory() -> None:
    """Return freed memory to the system; loading leaves a tenth of a worker. Works with glibc."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


class VersionMissing(StackserveError):
    """This worker VM does not have a version yet."""


class ModelCache:
    """Loaded predictors by version. A thread loads each version ahead of requests.

    These are the active version and the one on trial.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._loaded: OrderedDict[str, Predictor] = OrderedDict()
        self._loading = threading.Lock()
        self._stopping = threading.Event()
        # Versions that could not be loaded: how often, and when to try again.
        self._retries: dict[str, tuple[int, float]] = {}
        self._unreadable = 0
        self._wanted = ""
        # How often a new version could not be loaded, for /alive.
        self.failures = 0
        # On a worker VM: gets a version that the registry lacks. It waits for it if it may, and
        # raises VersionMissing if that takes too long.
        self.supply: Callable[[str, bool], None] | None = None

    def get(self, version: str, *, wait: bool = True) -> Predictor:
        """The predictor of a version; loads it if necessary."""
        predictor = self._loaded.get(version)
        if predictor is not None:
            return predictor
        if self.supply is not None:
            self.supply(version, wait)
        return self._load(version)

    def load(self, version: str, *, again: bool = False) -> None:
        """Load a version from the registry; `again` if its files have been replaced."""
        if again:
            self._loaded.pop(version, None)
        self._load(version)

    def want(self, version: str) -> None:
        """Load another version soon, ahead of requests that name it."""
        if version not in self._loaded:
            self._wanted = version

    def versions(self) -> list[str]:
        return list(self._loaded)

    def watch(self) -> None:
        """Load the active version, then watch for the next ones in a thread."""
        self.get(self._registry.active())
        self._load_missing(set(self._in_use()) - set(self._loaded))
        threading.Thread(target=self._watch_loop, name="model-watch", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()

    def _load(self, version: str) -> Predictor:
        from production_server.model import machine_code

        with self._loading:
            if version not in self._loaded:
                predictor = machine_code.load(self._registry, version)
                predictor.warm()
                release_memory()
                self._loaded[version] = predictor
                log.info("loaded model %s", version)
                self._forget_old(version)
            return self._loaded[version]

    def _forget_old(self, version: str) -> None:
        keep = {version, *self._in_use()}
        for old in [one for one in self._loaded if one not in keep]:
            if len(self._loaded) > KEPT:
                del self._loaded[old]

    def _in_use(self) -> list[str]:
        """The versions that requests may get at any time."""
        trial = rollout.candidate(self._registry)
        return [self._registry.active(), *([trial.version] if trial else [])]

    def _watch_loop(self) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            try:
                now = time.monotonic()
                due = [one for one in self._in_use() if self._retries.get(one, (0, 0.0))[1] <= now]
                # Once: jobs may need the place of this one afterwards.
                wanted, self._wanted = self._wanted, ""
                if wanted and wanted not in self._retries and self._registry.holds(wanted):
                    due.append(wanted)
                self._load_missing(due)
                self._unreadable = 0
            except Exception as error:  # if this thread ended, no new version would be loaded
                log.exception("cannot load the active model: %s", getattr(error, "remedy", ""))
                self.failures += 1
                self._unreadable += 1
                self._stopping.wait(_pause(self._unreadable))

    def _load_missing(self, versions: Iterable[str]) -> None:
        """Load these versions if they are not loaded. One that fails does not hold up the others.

        It is tried again after a pause that doubles.
        """
        for version in versions:
            if version in self._loaded:
                continue
            try:
                self._load(version)
                self._retries.pop(version, None)
            except Exception as error:  # a model can raise anything
                log.exception("cannot load model %s: %s", version, getattr(error, "remedy", ""))
                self.failures += 1
                times = self._retries.get(version, (0, 0.0))[0] + 1
                self._retries[version] = times, time.monotonic() + _pause(times)


def _pause(failures: int) -> float:
    return float(min(LONGEST_PAUSE, WATCH_SECONDS * 2 ** min(failures, 20)))
