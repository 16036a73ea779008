"""Run the web tier: Uvicorn, in the number of processes from the settings."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from production_server.access.signing import signing_of
from production_server.model.registry import Registry
from production_server.settings import Settings
from production_server.web.processes import Processes, listeners
from production_server.web.protocol import guarded

if TYPE_CHECKING:
    from production_server.web.front import Front

# A thread that is busy, such as one that reads an upload, holds up every request for so long. The
# default is 5 ms.
SWITCH_SECONDS = 0.0005


def run_web(settings: Settings) -> None:
    """Serve HTTP until SIGTERM or SIGINT."""
    sys.setswitchinterval(SWITCH_SECONDS)
    settings.home.mkdir(parents=True, exist_ok=True)
    # Once here, because the processes would race to do it.
    Registry(settings.registry_path).seed()
    signing_of(settings.access_folder)
    if settings.metrics_folder is not None:
        shutil.rmtree(settings.metrics_folder, ignore_errors=True)
        settings.metrics_folder.mkdir(parents=True)
    settings.share_with_children()
    # Imported here, because prometheus_client reads the shared folder at its import.
    from production_server.web.app import create_front
    from production_server.web.metrics import forget_process

    parent = os.getpid()

    def serve(listener: socket.socket) -> None:
        front = create_front(settings)
        gc.freeze()  # exempt the libraries from collections, which would hold up every request
        server = Server(server_config(front, settings), parent)
        server.run(sockets=[listener])

    count = settings.web_process_count
    forget = partial(forget_process, settings.metrics_folder)
    Processes(listeners(settings.host, settings.port, count), serve, forget).run()


class Server(uvicorn.Server):
    """Also stops when its parent is gone, so that it does not keep the port in use."""

    def __init__(self, config: uvicorn.Config, parent: int) -> None:
        super().__init__(config)
        self._parent = parent

    async def on_tick(self, counter: int) -> bool:
        return os.getppid() != self._parent or await super().on_tick(counter)


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
