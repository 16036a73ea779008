"""The ssh key of a deployment: an existing one, or a new one that only its owner can read."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from openstack_client.cloud.resources import Keypair
from openstack_client.errors import Problem
from openstack_client.names import resolve, resource_name

PREFERRED = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")
KINDS = ("ssh-", "ecdsa-", "sk-")


@dataclass(frozen=True)
class KeyPlan:
    """The keypair to use. `create` uploads `public` to Nova; `generate` generates the key first.

    `private` is the file that ssh uses, or None if it is not on this machine.
    """

    keypair: str
    create: bool = False
    generate: bool = False
    public: str = ""
    private: Path | None = None
    why: str = ""


def body(public_key: str) -> str:
    """The base64 part of a public key line, without type and comment."""
    parts = public_key.split()
    for position, part in enumerate(parts):
        if part.startswith(KINDS) and position + 1 < len(parts):
            return parts[position + 1]
    return ""


def fingerprint(public_key: str) -> str:
    """The fingerprint, as ssh-keygen shows it."""
    try:
        raw = base64.b64decode(body(public_key), validate=True)
    except binascii.Error:
        return "unreadable"
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


def public_keys(folder: Path) -> list[Path]:
    """The public keys in ~/.ssh whose private key is there too, preferred ones first."""
    found = [
        path
        for path in sorted(folder.glob("*.pub"))
        if path.is_file() and path.with_suffix("").is_file() and body(_text(path))
    ]
    rank = {name: place for place, name in enumerate(PREFERRED)}
    return sorted(found, key=lambda path: (rank.get(path.name, len(rank)), path.name))


def private_of(public_key: str, folders: list[Path]) -> Path | None:
    """The private key file on this machine for a public key."""
    wanted = body(public_key)
    for folder in folders:
        for path in sorted(folder.glob("*.pub")):
            if wanted and path.is_file() and body(_text(path)) == wanted:
                private = path.with_suffix("")
                return private if private.is_file() else None
    return None


def keypair_name(deployment: str, project_id: str) -> str:
    """The name of the keypair that the launcher creates and deletes.

    A user's keypairs are shared by all their projects, so the name includes the project.
    """
    return f"{resource_name(deployment)}-{short(project_id)}"


def short(project_id: str) -> str:
    """A project id shortened for names; still unique among a user's projects."""
    return project_id[:8]


def kept_key(folder: Path, deployment: str) -> Path:
    """The path of the private key that the launcher generates."""
    return folder / "keys" / deployment


def known_hosts(folder: Path, deployment: str, part: str = "") -> Path:
    """The file with the host keys of one server."""
    return folder / "known_hosts" / ".".join(filter(None, [deployment, part]))


def authority(folder: Path, deployment: str) -> Path:
    """The file with the certificate authority of the front end."""
    return folder / "authorities" / f"{deployment}.pem"


def plan_key(
    wanted: str | None,
    deployment: str,
    keypairs: tuple[Keypair, ...],
    *,
    project_id: str,
    ssh_folder: Path,
    folder: Path,
) -> KeyPlan | Problem:
    """Choose the server's keypair: an existing one, or one to create."""
    ours = keypair_name(deployment, project_id)
    present = next((pair for pair in keypairs if pair.name == ours), None)
    places = [ssh_folder, folder / "keys"]
    if wanted is None:
        return _choose(ours, present, kept_key(folder, deployment), places)
    if not _is_path(wanted):
        found = resolve("keypair", wanted, keypairs)
        if isinstance(found, Problem):
            return found
        return KeyPlan(found.name, private=private_of(found.public_key, places), why="as requested")
    path = Path(wanted).expanduser()
    path = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    if not body(_text(path)):
        return Problem("key", f"{path} is not a public key file.", "Create one with ssh-keygen.")
    return _with_file(path, ours, present, "as requested")


def _choose(
    ours: str, present: Keypair | None, kept: Path, places: list[Path]
) -> KeyPlan | Problem:
    """The default key: the one an earlier run used, or one in ~/.ssh, or a new one."""
    candidates = public_keys(places[0])
    if kept.is_file() and body(_text(kept.with_name(kept.name + ".pub"))):
        candidates = [kept.with_name(kept.name + ".pub")]
    elif present and (same := private_of(present.public_key, places)):
        return KeyPlan(ours, private=same, why="created by an earlier run")
    if candidates:
        return _with_file(candidates[0], ours, present, "from this machine")
    if present:
        return _other_key(present, "its private key is not on this machine")
    return KeyPlan(ours, create=True, generate=True, private=kept, why="new")


def generate(private: Path) -> str:
    """Generate an ed25519 key (mode 0600, folder 0700) and return the public key line."""
    private.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private.parent.chmod(0o700)
    key = ed25519.Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    line = f"{public.decode()} stackserve-{private.name}"
    private.unlink(missing_ok=True)
    descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
    private.with_name(private.name + ".pub").write_text(line + "\n", encoding="utf-8")
    return line


def _with_file(path: Path, ours: str, present: Keypair | None, why: str) -> KeyPlan | Problem:
    text = _text(path).strip()
    private = path.with_suffix("")
    usable = private if private.is_file() else None
    if present is None:
        return KeyPlan(ours, create=True, public=text, private=usable, why=f"{why}: {path}")
    if body(present.public_key) == body(text):
        return KeyPlan(ours, public=text, private=usable, why="created by an earlier run")
    return _other_key(present, f"{path} is {fingerprint(text)}")


def _other_key(present: Keypair, ours: str) -> Problem:
    return Problem(
        "keypair",
        f"{present.name!r} exists with a different key "
        f"({fingerprint(present.public_key)}; {ours}).",
        f"Use it with --key {present.name}, or delete it: openstack keypair delete {present.name}",
    )


def _is_path(wanted: str) -> bool:
    return "/" in wanted or wanted.endswith(".pub") or wanted.startswith("~")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
