"""The ssh command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from openstack_client.watch.ssh import ANOTHER_ADDRESS, SshTarget, failure


def test_ssh_uses_key_user_and_host_key() -> None:
    target = SshTarget("1.2.3.4", "debian", Path("/k/web"), Path("/h/web"))
    assert target.command("uptime", "-p") == [
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


def test_without_a_key_file_ssh_uses_the_agent() -> None:
    command = SshTarget("1.2.3.4", "debian", None, Path("/h/my web")).command()
    assert "-i" not in command


def test_the_shell_command_is_quoted() -> None:
    command = SshTarget("1.2.3.4", "debian", Path("/k/web"), Path("/h/my web")).shell_command
    assert "'UserKnownHostsFile=/h/my web'" in command


def test_a_jump_host_comes_first() -> None:
    target = SshTarget("1.2.3.4", "debian", Path("/k/web"), Path("/h/web"), "me@gate:2222")
    assert target.command()[:4] == ["ssh", "-J", "me@gate:2222", "-i"]


def test_a_server_is_reached_through_another_with_the_same_care() -> None:
    front = SshTarget("1.2.3.4", "debian", Path("/k/100%"), Path("/h/my web"), "me@gate")
    target = SshTarget("10.0.0.9", "debian", Path("/k/100%"), Path("/h/web.w"), through=front)
    option, proxy, *_ = target.command()[1:]
    assert option == "-o" and proxy.startswith("ProxyCommand=ssh -J me@gate -i /k/100%% ")
    assert "'UserKnownHostsFile=/h/my web' -o StrictHostKeyChecking=yes" in proxy
    assert proxy.endswith("-W '[%h]:%p' debian@1.2.3.4")
    assert target.command()[-1] == "debian@10.0.0.9"
    assert "UserKnownHostsFile=/h/web.w" in target.command()


def test_why_a_command_failed() -> None:
    assert failure(b"a note\nerror: it is full.\n  Make room.\n") == "it is full"
    assert failure(b"sudo: x: command not found\n") == "sudo: x: command not found"
    assert failure(b"") == "no reason given"
    through = b"gate: Permission denied (publickey).\r\nConnection closed by UNKNOWN port 65535\r\n"
    assert failure(through) == "gate: Permission denied (publickey)"
    assert failure(through.splitlines()[1]) == "Connection closed by UNKNOWN port 65535"


@pytest.mark.parametrize("how", ["Connection", "Operation"])
def test_no_answer_hints_at_the_rule_for_ssh(how: str) -> None:
    """Also if ssh goes on to complain about what it had by the way."""
    printed = f"ssh: connect to host 192.0.2.9 port 22: {how} timed out\r\nkex: closed\r\n"
    assert failure(printed.encode()) == (
        f"ssh: connect to host 192.0.2.9 port 22: {how} timed out; {ANOTHER_ADDRESS}"
    )
    assert "--ssh-from" in ANOTHER_ADDRESS
    refused = b"ssh: connect to host 192.0.2.9 port 22: Connection refused\r\n"
    assert failure(refused).endswith("Connection refused")
    assert failure(b"Connection timed out during banner exchange\n").endswith("banner exchange")


def test_the_first_host_is_the_one_that_this_machine_connects_to() -> None:
    front = SshTarget("192.0.2.9", "debian", None, Path("/k"))
    worker = SshTarget("10.0.0.7", "debian", None, Path("/w"), through=front)
    assert front.first_host == worker.first_host == "192.0.2.9"
    assert SshTarget("192.0.2.9", "debian", None, Path("/k"), "gate").first_host == ""
