"""`scripts/lab down`: stops every process and undoes the changes to the machine."""

from __future__ import annotations

import contextlib
import shutil

from openstack_lab import namespace, uplink
from openstack_lab.layout import Layout
from openstack_lab.progress import Progress


def run(layout: Layout, progress: Progress, *, purge: bool) -> None:
    """Stop the lab, even if it has started only in part or its processes were killed."""
    if layout.supervisor.exists():
        with progress.step("Services"):
            namespace.stop(layout)
    uplink.disconnect(layout)
    if purge and layout.folder.exists():
        with progress.step(f"Files in {layout.folder}"):
            _remove_files(layout)


def _remove_files(layout: Layout) -> None:
    """Remove the lock file last: until then, no other `up` may write here."""
    for folder in (layout.folder, layout.run):
        for path in folder.iterdir():
            if path in (layout.run, layout.lock):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    layout.lock.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty: the next `up` has begun
        layout.run.rmdir()
        layout.folder.rmdir()
