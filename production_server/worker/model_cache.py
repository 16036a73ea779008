"""The models in a worker's memory, loaded and warmed before they get requests."""

from __future__ import annotations

import ctypes
import gc
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from production_server.errors import StackserveError
from production_server.model.registry import Registry

if TYPE_CHECKING:
    from production_server.model.predictor import Predictor

log = logging.getLogger(__name__)

# The active version, the one before it (for jobs and requests that started with it), and one more.
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
    """Loaded predictors by version. A thread loads each newly active version ahead of requests."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._loaded: OrderedDict[str, Predictor] = OrderedDict()
        self._loading = threading.Lock()
        self._stopping = threading.Event()
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

    def versions(self) -> list[str]:
        return list(self._loaded)

    def watch(self) -> None:
        """Load the active version, then watch for the next ones in a thread."""
        self.get(self._registry.active())
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
                while len(self._loaded) > KEPT:
                    self._loaded.popitem(last=False)
            return self._loaded[version]

    def _watch_loop(self) -> None:
        pause, failed, again = WATCH_SECONDS, "", 0.0
        while not self._stopping.wait(WATCH_SECONDS):
            active = ""
            try:
                active = self._registry.active()
                if active in self._loaded or (active == failed and time.monotonic() < again):
                    continue
                self._load(active)
                pause, failed = WATCH_SECONDS, ""
            except Exception as error:  # if this thread ended, no new version would be loaded
                log.exception("cannot load the active model: %s", getattr(error, "remedy", ""))
                self.failures += 1
                pause = min(LONGEST_PAUSE, 2 * pause)
                failed, again = active, time.monotonic() + pause
                if not active:
                    self._stopping.wait(pause)
