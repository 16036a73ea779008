"""Uvicorn in front of the application: the parent process and its web processes."""

from __future__ import annotations

import shutil
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

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
    config = server_config(
        "production_server.web.app:from_environment",
        settings,
        factory=True,
        workers=settings.web_process_count,
    )
    if settings.web_process_count == 1:
        uvicorn.Server(config).run()
    else:
        Multiprocess(config, sockets=[config.bind_socket()]).run()


def server_config(app: Any, settings: Settings, **more: Any) -> uvicorn.Config:
    """How HTTP is served, here and in one process with everything else."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        # Whether there is a proxy to be believed is not known here.
        proxy_headers=False,
        timeout_graceful_shutdown=10,
        log_config=None,
        log_level="warning",
        **more,
    )
