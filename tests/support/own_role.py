"""A role of one's own, made from the example in cloud-init/roles/hello/."""

from __future__ import annotations

import shutil
from pathlib import Path

from openstack_client.roles import ours


def copy_of_hello(folder: Path, name: str, **edits: tuple[str, str]) -> Path:
    """Copy the example; `edits` maps file names, with _ for a dot, to old and new text."""
    own = folder / name
    shutil.copytree(ours("hello").folder, own)
    for file, (old, new) in edits.items():
        path = own / file.replace("_", ".")
        text = path.read_text()
        assert old in text, f"{path.name} has no {old!r}"
        path.write_text(text.replace(old, new))
    return own
