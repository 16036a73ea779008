"""The ssh command line."""

from __future__ import annotations

from pathlib import Path

from openstack_client.watch.ssh import Way


def test_ssh_knows_key_user_and_host_key() -> None:
    way = Way("1.2.3.4", "debian", Path("/k/web"), Path("/h/web"))
    assert way.command("uptime", "-p") == [
        "ssh",
        "-i",
        "/k/web",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "UserKnownHostsFile=/h/web",
        "-o",
        "StrictHostKeyChecking=yes",
        "debian@1.2.3.4",
        "uptime",
        "-p",
    ]


def test_without_a_key_file_the_agent_is_asked() -> None:
    command = Way("1.2.3.4", "debian", None, Path("/h/my web")).command()
    assert "-i" not in command


def test_the_words_can_be_pasted() -> None:
    words = Way("1.2.3.4", "debian", Path("/k/web"), Path("/h/my web")).words
    assert "'UserKnownHostsFile=/h/my web'" in words
