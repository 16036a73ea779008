"""The keys that may push: what is taken as one, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.errors import AccessError
from production_server.gitpush.keys import Key, checked_key, read_keys, with_key
from tests.support.ssh_server import make_key


@pytest.fixture
def public(tmp_path: Path) -> str:
    return make_key(tmp_path / "key").with_suffix(".pub").read_text()


def test_a_key_gets_one_command_and_nothing_else(public: str) -> None:
    key, fingerprint = checked_key("anna@dev1", public.strip() + " her comment\n", code=False)
    kind, blob = public.split()[:2]
    assert key.line == f'restrict,command="serve models anna@dev1" {kind} {blob} anna@dev1\n'
    assert fingerprint.startswith("SHA256:")
    assert read_keys(key.line) == [key]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        'command="id" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ\n',
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJAAAAAA\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----\n",
    ],
)
def test_what_is_not_one_public_key_is_refused(text: str) -> None:
    with pytest.raises(AccessError):
        checked_key("anna", text, code=False)


@pytest.mark.parametrize("more", ["\nssh-ed25519 AAAA", "\r\n", "\n\n"])
def test_a_second_line_is_refused(public: str, more: str) -> None:
    with pytest.raises(AccessError):
        checked_key("anna", public.rstrip("\n") + more, code=False)


@pytest.mark.parametrize("name", ["", "-x", "a b", 'a"', "a\n", "a;id", "$(id)", "a" * 64])
def test_a_name_is_a_plain_word(public: str, name: str) -> None:
    with pytest.raises(AccessError):
        checked_key(name, public, code=False)


def test_a_foreign_line_is_not_overwritten(public: str) -> None:
    with pytest.raises(AccessError, match="did not write"):
        read_keys(public)


def test_a_name_has_one_key_and_a_key_one_name() -> None:
    keys = [Key("anna", "t a"), Key("ben", "t b")]
    assert with_key(keys, Key("anna", "t c")) == [Key("ben", "t b"), Key("anna", "t c")]
    assert with_key(keys, Key("carl", "t b", True)) == [
        Key("anna", "t a"),
        Key("carl", "t b", True),
    ]
