"""models: push versions to an object store, pull them from there, and list them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from openstack_client.artifacts import place, source
from openstack_client.artifacts import pull as pulling
from openstack_client.artifacts import push as pushing
from openstack_client.artifacts.read import listing
from openstack_client.artifacts.s3 import S3Store
from openstack_client.artifacts.store import Store
from openstack_client.artifacts.swift import SwiftStore
from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import CLIENT_SETTINGS, cloud_flags, settings_flags
from openstack_client.cli.session import open_session, output, read_settings
from openstack_client.cli.tables import table_of
from openstack_client.deploy.model_file import VERSION
from openstack_client.deploy.remote import megabytes
from openstack_client.errors import Interrupted, SettingsError
from openstack_client.settings import environment
from openstack_client.watch import stages
from openstack_client.watch.progress import Progress, display

Function = TypeVar("Function", bound=Callable[..., Any])

COLUMNS = ["version", "size", "pushed", "files"]


@click.group()
def models() -> None:
    """Keep model versions in an object store: push, pull and list them.

    STORE is swift:CONTAINER[/PREFIX], in the OpenStack project, or s3:BUCKET[/PREFIX]. Credentials
    for S3 come from the environment or from AWS's own files.
    """


def _store_flags(flag: str) -> Callable[[Function], Function]:
    """The flags of all three: which store, and how to reach it."""

    def add(function: Function) -> Function:
        where = click.option(
            flag, "store", metavar="STORE", required=True, help="swift:… or s3:…, see above."
        )
        endpoint = click.option(
            "--s3-endpoint", metavar="URL", help="The S3 store's URL, unless it is AWS."
        )
        names = (name for name in CLIENT_SETTINGS if name != "name")
        return where(endpoint(settings_flags(names)(cloud_flags(report_errors(function)))))

    return add


@models.command()
@click.argument("given", metavar="VERSION|DIR|FILE")
@click.option("--as", "name", metavar="VERSION", help="Its name in the store.")
@click.option(
    "--features",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The features file of a .keras, .h5 or model.json.",
)
@_store_flags("--to")
def push(given: str, name: str | None, features: Path | None, **flags: Any) -> None:
    """Send a version to a store.

    It is a version of this machine's registry, a version folder, or a model file as for `update`.
    What is in the store already is not sent again. The version appears there when it is complete.
    """
    with source.unpacked(given, features) as files:
        version = source.name_of(files, name)
        store = open_store(flags)
        with _showing(flags, f"Pushing {version}", stages.PUSH) as progress:
            progress.stage("sent", "begin")
            done = pushing.push(store, version, files, _counting(progress))
            progress.stage("sent", "done", megabytes(done.sent))
            progress.stage("listed", "done", "new" if done.added else "was there")
    result = {"version": version, "store": flags["store"], "bytes": done.index.size}
    what = f"{version} is in {flags['store']}: {megabytes(done.index.size)}."
    _answer(flags, result | {"sent_bytes": done.sent, "added": done.added}, what)


@models.command()
@click.argument("version")
@click.option(
    "--output",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder to create.  [default: VERSION]",
)
@_store_flags("--from")
def pull(version: str, folder: Path | None, **flags: Any) -> None:
    """Fetch a version from a store into a folder.

    The folder appears when every file in it is complete and has the right SHA-256. If a pull stops,
    the next one continues.
    """
    if not VERSION.fullmatch(version):
        raise SettingsError(f"{version!r} is no version name.", "`models list` shows the names.")
    target = folder or Path(version)
    store = open_store(flags)
    with _showing(flags, f"Pulling {version}", stages.PULL) as progress:
        progress.stage("received", "begin")
        index = pulling.pull(store, version, target, _counting(progress))
        progress.stage("received", "done", megabytes(index.size))
        progress.stage("checked")
    names = [file.name for file in index.files]
    result = {"version": version, "folder": str(target), "bytes": index.size, "files": names}
    _answer(flags, result, f"{version} is in {target}: {', '.join(names)}.")


@models.command("list")
@_store_flags("--in")
def list_(**flags: Any) -> None:
    """List the versions in a store."""
    rows = listing(open_store(flags))
    if flags["as_json"]:
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        output().print(table_of([_shown(row) for row in rows], COLUMNS))
    else:
        click.echo(f"{flags['store']} has no versions.")


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    if "error" in row:
        return row | {"files": row["error"]}
    return row | {"size": megabytes(row["bytes"]), "files": ", ".join(row["files"])}


def open_store(flags: dict[str, Any]) -> Store:
    """The store; only Swift needs an OpenStack project."""
    where = place.parse(flags["store"])
    endpoint = flags["s3_endpoint"]
    others = {key: flags[key] for key in flags if key not in {"store", "s3_endpoint"}}
    if where.kind == "swift":
        if endpoint:
            raise SettingsError("--s3-endpoint is for s3: stores.", "Drop it, or write s3:BUCKET.")
        return SwiftStore(open_session(others).cloud, where)
    merged = read_settings(others, environment(), None)
    return S3Store(where, endpoint, timeout=merged.timeout_api, retries=merged.retries)


@contextmanager
def _showing(flags: dict[str, Any], title: str, names: tuple[str, ...]) -> Iterator[Progress]:
    progress = Progress(display(flags["as_json"], sys.stdout, title, names))
    try:
        yield progress
    except KeyboardInterrupt as stop:
        raise Interrupted("Stopped.", "Run the command again: it continues.") from stop
    finally:
        progress.close()


def _counting(progress: Progress) -> Callable[[int, int], None]:
    """Show how far it is, once a second at most."""
    last = progress.elapsed

    def moved(done: int, whole: int) -> None:
        nonlocal last
        if progress.elapsed - last >= 1 and done < whole:
            last = progress.elapsed
            progress.console(f"{megabytes(done)} of {megabytes(whole)}")

    return moved


def _answer(flags: dict[str, Any], result: dict[str, Any], what: str) -> None:
    if flags["as_json"]:
        click.echo(json.dumps({"event": "result", **result}))
    else:
        click.echo(what)
