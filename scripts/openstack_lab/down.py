"""`scripts/lab down`: end every process, and leave the machine as it was before."""

from __future__ import annotations

import shutil

from openstack_lab import namespace, uplink
from openstack_lab.layout import Layout
from openstack_lab.progress import Progress


def run(layout: Layout, progress: Progress, *, purge: bool) -> None:
    """Works on a half-started lab, and on one whose processes were killed."""
    if layout.process.exists():
        with progress.step("Services"):
            namespace.stop(layout)
    uplink.disconnect(layout)
    if purge and layout.folder.exists():
        with progress.step(f"Files in {layout.folder}"):
            shutil.rmtree(layout.folder)
