"""backup, restore: save the jobs and models to one archive, and replace them by an archive's."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from production_server.backup.scratch import stoppable
from production_server.errors import BackupError
from production_server.model.durable import sync
from production_server.settings import load_settings

PIPE = "-"


class Display:
    """Shows progress on standard error, if that is a terminal."""

    def __init__(self, doing: str) -> None:
        self.doing = doing
        self.shown = sys.stderr.isatty()

    def report(self, done: int, total: int) -> None:
        if self.shown:
            percent = 100 * done // total if total else 0
            click.echo(f"\r{self.doing} {percent:3} % of {total / 1e6:,.1f} MB", err=True, nl=False)

    def close(self) -> None:
        if self.shown:
            click.echo("\r\x1b[K", err=True, nl=False)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
def backup(file: str) -> None:
    """Save all jobs and models to the archive FILE, or to standard output if FILE is -.

    The service can run meanwhile. The archive holds the state of one moment, with checksums.
    """
    from production_server.backup.save import save

    settings = load_settings()
    display = Display("Saving")
    with stoppable():
        try:
            with _output(file) as stream:
                manifest = save(settings, stream, display.report)
        finally:
            display.close()
    where = "standard output" if file == PIPE else file
    click.echo(f"{where}: {manifest.summary}", err=file == PIPE)


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--check", is_flag=True, help="Only check the archive; change nothing.")
@click.option("--yes", "-y", is_flag=True, help="Skip the question before anything is deleted.")
def restore(file: str, check: bool, yes: bool) -> None:
    """Replace all jobs and models by those of the archive FILE, or of standard input if it is -.

    Stop the service first. A damaged archive changes nothing, and neither does a restore that is
    interrupted.
    """
    from production_server.backup import restore as restoring

    settings = load_settings()
    display = Display("Checking")

    def confirm(lost: str) -> None:
        display.close()
        if yes:
            return
        if file == PIPE or not sys.stdin.isatty():
            raise BackupError(
                f"a restore would delete what the archive does not have: {lost}",
                "Nothing was changed. Make a backup first, or add --yes.",
            )
        click.confirm(f"This deletes what the archive does not have: {lost}. Restore?", abort=True)

    with stoppable():
        try:
            with _input(file) as stream:
                if check:
                    manifest = restoring.check(settings, stream, display.report)
                else:
                    manifest = restoring.restore(settings, stream, display.report, confirm)
        except (OSError, sqlite3.Error) as error:
            raise BackupError(
                f"cannot restore {file}: {error}", "Correct this, then restore again."
            ) from error
        finally:
            display.close()
    click.echo(f"{'intact' if check else 'restored'}: {manifest.summary}")


@contextmanager
def _input(file: str) -> Iterator[IO[bytes]]:
    if file == PIPE:
        yield sys.stdin.buffer
        return
    if not Path(file).is_file() or not os.access(file, os.R_OK):
        raise BackupError(f"{file} is not a file that can be read", "Name an archive.")
    with Path(file).open("rb") as stream:
        yield stream


@contextmanager
def _output(file: str) -> Iterator[IO[bytes]]:
    """Standard output, or a file that is complete and only for its owner, or absent."""
    if file == PIPE:
        if sys.stdout.isatty():
            raise BackupError("an archive cannot be shown", "Redirect it to a file.")
        yield sys.stdout.buffer
        return
    target = Path(file)
    if target.exists():
        raise BackupError(f"{target} exists already", "Choose another name, or delete it.")
    part = target.with_name(target.name + ".part")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise BackupError(
            f"cannot write {part}: {error.strerror}", "Choose another folder."
        ) from error
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(handle, 0o600)
            yield stream
            stream.flush()
            os.fsync(handle)
        part.rename(target)
        sync(target.absolute().parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(
            f"cannot save {target}: {error}", "Correct this, then try again."
        ) from error
    finally:
        part.unlink(missing_ok=True)
