"""stackserve-git: who may push versions to this server. See docs/git-push.md.

Root runs it, with the standard library alone. The first key creates the account and the repository;
a server that never has one has nothing of them.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from production_server.errors import AccessError, StackserveError
from production_server.gitpush.install import install, write_program
from production_server.gitpush.keys import Key, checked_key, fingerprint, read_keys, with_key
from production_server.gitpush.layout import ON_SERVER, REPOSITORY, Layout

LONGEST_KEY = 8192


def main(arguments: Sequence[str] | None = None, layout: Layout = ON_SERVER) -> None:
    parser = argparse.ArgumentParser("stackserve-git", description="Who may push to this server.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add-key", help="allow the public key on standard input")
    add.add_argument("name")
    add.add_argument("--allow-code", action="store_true", help="let it push code too")
    verbs.add_parser("remove-key", help="allow it no longer").add_argument("name")
    verbs.add_parser("list-keys", help="show who may push")
    for verb in verbs.choices.values():
        verb.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(arguments)
    try:
        if os.geteuid() != 0 and layout is ON_SERVER:
            raise AccessError(
                "this program changes accounts", "Run it as root: sudo stackserve-git."
            )
        answer = _run(chosen, layout)
    except StackserveError as error:
        sys.exit("\n".join(filter(None, [f"error: {error}", error.remedy])))
    print(json.dumps(answer) if chosen.json else _as_text(answer))


def _run(chosen: argparse.Namespace, layout: Layout) -> dict[str, object]:
    if chosen.verb == "add-key":
        text = sys.stdin.read(LONGEST_KEY)
        return add_key(layout, chosen.name, text, code=chosen.allow_code)
    if chosen.verb == "remove-key":
        return remove_key(layout, chosen.name)
    return {"keys": [_described(key) for key in _keys(layout)]}


def add_key(layout: Layout, name: str, text: str, *, code: bool) -> dict[str, object]:
    """Let a key push. Adding it again changes nothing."""
    new, print_ = checked_key(name, text, code=code)
    install(layout)
    with _changing(layout):
        keys = _keys(layout)
        changed = new not in keys
        if changed:
            _write(layout, with_key(keys, new))
    return {
        "name": name,
        "fingerprint": print_,
        "code": code,
        "account": layout.account,
        "path": f"/{REPOSITORY}",
        "changed": changed,
    }


def remove_key(layout: Layout, name: str) -> dict[str, object]:
    """Let a key push no longer. Connections that it has open end with their push."""
    if not layout.lock.exists():
        return {"name": name, "changed": False}
    with _changing(layout):
        keys = _keys(layout)
        left = [key for key in keys if key.name != name]
        if left != keys:
            _write(layout, left)
    return {"name": name, "changed": left != keys}


def _keys(layout: Layout) -> list[Key]:
    file = layout.authorized_keys
    return read_keys(file.read_text()) if file.exists() else []


def _write(layout: Layout, keys: Sequence[Key]) -> None:
    write_program(layout.authorized_keys, "".join(key.line for key in keys), 0o644)


@contextmanager
def _changing(layout: Layout) -> Iterator[None]:
    """One change at a time, of keys alone: a push has a lock of its own."""
    with Path(layout.authorized_keys.with_name("lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _described(key: Key) -> dict[str, object]:
    return {"name": key.name, "fingerprint": fingerprint(key.public), "code": key.code}


def _as_text(answer: dict[str, object]) -> str:
    keys = answer.get("keys")
    if isinstance(keys, list):
        rows = [f"{k['name']}  {k['fingerprint']}{'  and code' if k['code'] else ''}" for k in keys]
        return "\n".join(rows) or "No key may push."
    may = "may push" if "path" in answer else "may not push"
    return f"{answer['name']} {may}{'' if answer['changed'] else ', as before'}"
