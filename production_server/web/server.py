"""Granian in front of the application: the master process and its web processes."""

from __future__ import annotations

import shutil

from granian import Granian
from granian.constants import Interfaces, Loops

from production_server.model.registry import Registry
from production_server.settings import Settings


def run_web(settings: Settings) -> None:
    """Serve HTTP until told to stop."""
    settings.home.mkdir(parents=True, exist_ok=True)
    # Once here, not in each process: they would race for it.
    Registry(settings.registry_path).seed()
    if settings.metrics_folder is not None:
        shutil.rmtree(settings.metrics_folder, ignore_errors=True)
        settings.metrics_folder.mkdir(parents=True)
    settings.share_with_children()
    Granian(
        "production_server.web.app:from_environment",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.web_process_count,
        loop=Loops.uvloop,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        backlog=2048,
        log_level=settings.log_level.lower(),
    ).serve()
