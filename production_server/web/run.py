"""Run the web tier: Uvicorn, in the number of processes from the settings."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from production_server.access.signing import signing_of
from production_server.model.registry import Registry
from production_server.settings import Settings
from production_server.web.guard import Guard
from production_server.web.processes import Processes, listeners
from production_server.web.protocol import guarded
from production_server.web.succession import DRAIN, Inheritance, Succession

if TYPE_CHECKING:
    from production_server.web.front import Front

# A thread that is busy, such as one that reads an upload, holds up every request for so long. The
# default is 5 ms.
SWITCH_SECONDS = 0.0005
# How a successor is started.
COMMAND = ("-m", "production_server", "web")
# A client that sends nothing for so long loses its connection to a process that drains.
DRAIN_SECONDS = 12.0
DRAIN_PAUSE = 0.1


def run_web(settings: Settings, inherited: Inheritance | None = None) -> None:
    """Serve HTTP until SIGTERM or SIGINT, or until a successor with newer code does."""
    sys.setswitchinterval(SWITCH_SECONDS)
    settings.home.mkdir(parents=True, exist_ok=True)
    # Once here, because the processes would race to do it.
    Registry(settings.registry_path).seed()
    signing_of(settings.access_folder)
    # Those that still serve in the predecessor's processes have files there.
    if settings.metrics_folder is not None and inherited is None:
        shutil.rmtree(settings.metrics_folder, ignore_errors=True)
        settings.metrics_folder.mkdir(parents=True)
    settings.share_with_children()
    # Imported here, because prometheus_client reads the shared folder at its import.
    from production_server.web.app import create_front
    from production_server.web.metrics import forget_process

    parent = os.getpid()

    def serve(listener: socket.socket, serving: Callable[[], None]) -> None:
        front = create_front(settings)
        gc.freeze()  # exempt the libraries from collections, which would hold up every request
        Server(server_config(front, settings), parent, front.guard, serving).run([listener])

    if inherited is None:
        sockets = listeners(settings.host, settings.port, settings.web_process_count)
    else:
        sockets = inherited.sockets()
    forget = partial(forget_process, settings.metrics_folder)
    Processes(sockets, serve, forget, Succession(COMMAND, inherited)).run()


class Server(uvicorn.Server):
    """Also stops when its parent is gone, so that it does not keep the port in use."""

    def __init__(
        self, config: uvicorn.Config, parent: int, guard: Guard, serving: Callable[[], None]
    ) -> None:
        """`serving` is called once it accepts connections."""
        super().__init__(config)
        self._parent = parent
        self._guard = guard
        self._serving = serving
        self._drains = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        signal.signal(DRAIN, self._drain)
        await super().startup(sockets)
        self._serving()

    async def on_tick(self, counter: int) -> bool:
        gone = os.getppid() != self._parent
        return gone or self._drains or await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._drains and not self.should_exit:
            for server in self.servers:
                server.close()
            self._guard.drain()
            until = time.monotonic() + DRAIN_SECONDS
            while self.server_state.connections and time.monotonic() < until:
                await asyncio.sleep(DRAIN_PAUSE)
        await super().shutdown(sockets)

    def _drain(self, *_: object) -> None:
        self._drains = True


def server_config(app: Front, settings: Settings) -> uvicorn.Config:
    """The configuration of Uvicorn, also for a server that runs everything in one process."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=guarded(app.guard),
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        # The forwarded headers of an unknown proxy cannot be trusted.
        proxy_headers=False,
        timeout_graceful_shutdown=10,
        log_config=None,
        log_level="warning",
    )
