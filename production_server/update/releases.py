"""The releases of the code on a server, side by side. A link says which one is live.

    <root>/releases/<name>/                   complete once it has payload.sha256
    <root>/releases/<name>/venv               the link to its Python packages
    <root>/releases/<name>/previous           the link to the release that was live before it
    <root>/app                                the link to the live one

The standard library is enough to import this module: root runs it; see command.py.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from production_server.errors import UpdateError
from production_server.places import LIVE, RELEASES

KEPT = 3
STAMP = "payload.sha256"
CODE_HASH = "code-hash"
PREVIOUS = "previous"
# An archive has some megabytes, and a model.
LARGEST_PAYLOAD = 512 << 20
BLOCK = 1 << 20


class Releases:
    """All releases in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folder = root / RELEASES

    @property
    def live(self) -> Path:
        link = self.root / LIVE
        if not link.is_symlink():
            raise UpdateError(
                f"{link} is no link to a release: this server was installed by an older one",
                "Deploy it again with --recreate.",
            )
        return link.resolve()

    @property
    def previous(self) -> Path | None:
        """The one that `rollback` makes live, if it is still here."""
        link = self.live / PREVIOUS
        release = link.resolve()
        return release if link.is_symlink() and self.is_complete(release) else None

    def is_complete(self, release: Path) -> bool:
        return (release / STAMP).is_file()

    def all(self) -> list[Path]:
        """The complete ones, the newest first."""
        found = [one for one in self._folder.iterdir() if self.is_complete(one)]
        return sorted(found, key=lambda one: (one / STAMP).stat().st_mtime, reverse=True)

    def add(self, payload: BinaryIO, sha256: str, code: str) -> Path:
        """Unpack an archive with this hash, complete and on the disk, or not at all."""
        release = self._folder / sha256[:16]
        with tempfile.TemporaryFile(dir=self.root) as spooled:
            _spool(payload, spooled, sha256)
            if self.is_complete(release):
                return release
            new = release.with_name(f"{release.name}.new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(mode=0o755)
            try:
                with tarfile.open(fileobj=spooled, mode="r:xz") as archive:
                    archive.extractall(new)  # it is ours: its hash says so
            except tarfile.TarError as error:
                shutil.rmtree(new, ignore_errors=True)
                raise UpdateError(
                    f"the archive cannot be unpacked: {error}", "Send it again."
                ) from error
        (new / CODE_HASH).write_text(code)
        (new / STAMP).write_text(sha256)
        os.sync()
        shutil.rmtree(release, ignore_errors=True)
        new.rename(release)
        return release

    def switch(self, release: Path) -> None:
        """Make a release live. After a crash, the old or the new one is."""
        live = self.live
        if release != live:
            _link(release / PREVIOUS, live)
            _link(self.root / LIVE, release)
            os.sync()

    def prune(self, used: Collection[Path]) -> None:
        """Delete all but the newest, the live one and those that processes run from."""
        needed = {self.live, self.previous, *self.all()[:KEPT], *used}
        for release in set(self._folder.iterdir()) - needed:
            shutil.rmtree(release)


def code_of(release: Path, installed: str) -> str:
    """The hash of a release's code. That of the one that was installed is in the settings."""
    file = release / CODE_HASH
    return file.read_text() if file.exists() else installed


def note_code(release: Path, code: str) -> None:
    """Let a release that was installed say what it is, like those that updates bring."""
    file = release / CODE_HASH
    if not file.exists():
        file.write_text(code)


def _spool(payload: BinaryIO, spooled: BinaryIO, sha256: str) -> None:
    digest, size = hashlib.sha256(), 0
    while block := payload.read(BLOCK):
        size += len(block)
        if size > LARGEST_PAYLOAD:
            raise UpdateError(
                f"the archive has more than {LARGEST_PAYLOAD >> 20} MB",
                "It holds the code and a model; make the model smaller.",
            )
        digest.update(block)
        spooled.write(block)
    if digest.hexdigest() != sha256:
        raise UpdateError(
            f"the archive has SHA-256 {digest.hexdigest()[:12]}..., not {sha256[:12]}...: "
            "it did not arrive whole",
            "Send it again.",
        )
    spooled.seek(0)


def _link(path: Path, target: Path) -> None:
    """Let a link lead to another folder, at once."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
