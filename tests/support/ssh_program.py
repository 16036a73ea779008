"""An `ssh` that answers from files, for what the launcher asks a front end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from openstack_client.watch.ssh import SshTarget

# The verb of stackserve-workers is the word after the program; its answer is in a file of its name.
PROGRAM = """\
#!/bin/sh
for word; do command=$word; done
set -- ${command#*stackserve-workers}
echo "$@" >>%(folder)s/asked
cat "%(folder)s/$1" 2>/dev/null && exit 0
echo "Connection timed out" >&2
exit 255
"""


class AnsweringSsh:
    """Each verb has an answer once it is given; the others fail like a lost connection."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "ssh"
        program = self.folder / "bin" / "ssh"
        program.parent.mkdir(parents=True)
        program.write_text(PROGRAM % {"folder": self.folder})
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        known = self.folder / "known"
        known.write_text("192.0.2.1 ssh-ed25519 AAAA\n")
        self.target = SshTarget("192.0.2.1", "debian", None, known)

    def answer(self, verb: str, text: str = "") -> None:
        (self.folder / verb).write_text(text)

    @property
    def asked(self) -> list[str]:
        asked = self.folder / "asked"
        return asked.read_text().splitlines() if asked.exists() else []
