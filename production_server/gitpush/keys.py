"""The ssh keys that may push, one a line of authorized_keys.

`restrict` takes from a key all that ssh offers, and the forced command leaves it one program.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from production_server.errors import AccessError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_PUBLIC = re.compile(
    r"(?P<kind>[a-z0-9@.-]{1,60}) (?P<blob>[A-Za-z0-9+/=]{16,4000})( [^\r\n]*)?\n?"
)
_LINE = re.compile(
    r'restrict,command="serve (?P<right>models|code) (?P<name>\S+)" (?P<public>\S+ \S+) \S+'
)
_LEAST_RSA_BITS = 2048


@dataclass(frozen=True)
class Key:
    """A public key, whose it is, and whether it may also push code."""

    name: str
    public: str
    code: bool = False

    @property
    def line(self) -> str:
        right = "code" if self.code else "models"
        return f'restrict,command="serve {right} {self.name}" {self.public} {self.name}\n'


def read_keys(text: str) -> list[Key]:
    """The keys of an authorized_keys file."""
    keys = []
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if not found:
            raise AccessError(
                f"authorized_keys has a line that this program did not write: {line[:40]!r}...",
                "Remove that line, or give the key with `stackserve-git add-key`.",
            )
        keys.append(Key(found["name"], found["public"], found["right"] == "code"))
    return keys


def checked_key(name: str, text: str, *, code: bool) -> tuple[Key, str]:
    """The key in this line of a .pub file, and its fingerprint. ssh-keygen reads the key itself."""
    if not NAME.fullmatch(name):
        raise AccessError(
            f"{name!r} cannot be the name of a key",
            "Use letters, digits, and . _ @ - such as anna@dev1.",
        )
    found = _PUBLIC.fullmatch(text)
    if not found:
        raise AccessError(
            "standard input is not one public key",
            "Send the one line of a .pub file, such as ~/.ssh/id_ed25519.pub, without options.",
        )
    public = f"{found['kind']} {found['blob']}"
    return Key(name, public, code), fingerprint(public)


def fingerprint(public: str) -> str:
    """What ssh-keygen says about a public key. Raises AccessError if it is none."""
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", "-"],
        input=public + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    words = done.stdout.split()
    if done.returncode or len(words) < 3:
        raise AccessError("standard input is not a public key", "Send the line of a .pub file.")
    if words[-1] in ("(RSA)", "(DSA)") and int(words[0]) < _LEAST_RSA_BITS:
        raise AccessError(
            f"the key has only {words[0]} bits", "Make a new one: ssh-keygen -t ed25519."
        )
    return words[1]


def with_key(keys: Sequence[Key], new: Key) -> list[Key]:
    """The keys with this one, in place of one with its name or the same key under another name."""
    return [key for key in keys if new.name != key.name and new.public != key.public] + [new]
