"""Stages, failures and host keys in a console log."""

from __future__ import annotations

import pytest

from openstack_client.watch import console
from openstack_client.watch.console import Mark

BOOT = """\
[    0.000000] Linux version 6.1
[  OK  ] Started ssh.service\r
STACKSERVE stage=booting state=begin t=12.30
[   14.1] cloud-init[312]: STACKSERVE-HOSTKEY ssh-ed25519 AAAAC3Nza root@web
STACKSERVE-HOSTKEY ecdsa-sha2-nistp256 AAAAE2Vj=
STACKSERVE stage=booting state=done t=15.00
STACKSERVE stage=packages state=begin t=15.10
STACKSERVE stage=code state=begin t=15.20
\x1b[32mGet:1 http://deb.debian.org bookworm InRelease\x1b[0m
"""
FAILED = (
    BOOT
    + """\
STACKSERVE-LOG stage=packages Reading package lists...
STACKSERVE-LOG stage=code waiting
STACKSERVE-LOG stage=packages E: Unable to locate package rabbitmq
STACKSERVE stage=packages state=failed t=21.50 detail="E: said \\"no\\""
debian login:
"""
)


def test_markers_are_read_in_order() -> None:
    assert console.marks(BOOT) == [
        Mark("booting", "begin", 12.3),
        Mark("booting", "done", 15.0),
        Mark("packages", "begin", 15.1),
        Mark("code", "begin", 15.2),
    ]


def test_garbage_is_not_a_marker() -> None:
    text = (
        "STACKSERVE stage=other state=begin t=1\nSTACKSERVE stage=model state=odd t=1\nSTACKSERVE"
    )
    assert console.marks(text) == []


def test_a_truncated_detail_is_dropped() -> None:
    marks = console.marks('STACKSERVE stage=model state=failed t=1.5 detail="cut')
    assert marks == [Mark("model", "failed", 1.5)]


def test_setup_progress() -> None:
    begun = console.describe_setup(console.marks(BOOT))
    assert begun.startswith("code in progress; not done: packages")
    assert begun.endswith("; waiting for its code (run `deploy` to send it)")
    came = console.describe_setup(console.marks(BOOT + "STACKSERVE stage=code state=done t=16.0\n"))
    assert "packages in progress" in came and "waiting for its code" not in came
    failed = console.describe_setup(console.marks(FAILED))
    assert failed == "the step 'packages' failed: E: said \"no\""
    assert console.describe_setup([]) == "the console has not shown any stage yet"


def test_the_failed_step_and_its_own_log() -> None:
    mark = console.failed(console.marks(FAILED))
    assert mark == Mark("packages", "failed", 21.5, 'E: said "no"')
    assert console.before_failure(FAILED, "packages") == (
        "Reading package lists...\nE: Unable to locate package rabbitmq"
    )


def test_without_log_lines_the_last_lines_are_shown() -> None:
    shown = console.before_failure(BOOT, "model", count=1)
    assert shown == "Get:1 http://deb.debian.org bookworm InRelease"


def test_a_reboot_clears_earlier_failures() -> None:
    rebooted = FAILED + "STACKSERVE stage=booting state=begin t=9.00\n"
    marks = console.marks(rebooted)
    assert console.failed(marks) is None
    assert console.since_boot(marks) == [Mark("booting", "begin", 9.0)]


def test_missing_stages() -> None:
    assert console.waiting_for([]) == "the console has not shown any stage yet"
    assert console.waiting_for(console.marks(BOOT)) == (
        "code in progress; not done: packages, dependencies, code, rabbitmq, model, ready"
    )
    done = [Mark(stage, "done") for stage in console.STAGES]
    assert console.waiting_for(done) == "all stages are done on the server"


def test_ready() -> None:
    assert not console.is_ready(console.marks(BOOT))
    assert console.is_ready([*console.marks(BOOT), Mark("ready", "done")])


def test_the_last_informative_line() -> None:
    assert console.last_line(BOOT) == "Get:1 http://deb.debian.org bookworm InRelease"
    assert console.last_line(FAILED) == "Get:1 http://deb.debian.org bookworm InRelease"
    assert console.last_line("") == ""
    assert console.last_line("FAKE CONSOLE OUTPUT\nANOTHER\nLAST LINE") == "LAST LINE"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("[[0;32m  OK  [0m] Started [0;1;39mssh.service[0m - OpenBSD.", ""),
        ("[K         Starting [0;1;39mcloud-init.servic…", ""),
        ("[H[J[1;1H", ""),
        ("+++++++++++++++++++Route IPv6 info+++++++++++++++++++", ""),
        ("+--[ED25519 256]--+", ""),
        (
            "[   14.2] cloud-init[312]: Get:7 http://deb.debian.org [12.3 kB]",
            "Get:7 http://deb.debian.org [12.3 kB]",
        ),
    ],
)
def test_boot_noise_is_not_shown(line: str, shown: str) -> None:
    assert console.last_line(line) == shown


def test_host_keys_from_our_own_lines() -> None:
    assert console.host_keys(BOOT) == ["ssh-ed25519 AAAAC3Nza", "ecdsa-sha2-nistp256 AAAAE2Vj="]


def test_host_keys_from_cloud_init() -> None:
    text = (
        "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA root@web\nssh-rsa BBBB root@web\n"
        "-----END SSH HOST KEY KEYS-----\n"
    )
    assert console.host_keys(text) == ["ssh-ed25519 AAAA", "ssh-rsa BBBB"]
    assert console.host_keys("nothing") == []


def test_the_key_of_the_last_boot_is_used() -> None:
    text = "STACKSERVE-HOSTKEY ssh-ed25519 OLD\nSTACKSERVE-HOSTKEY ssh-ed25519 NEW\n"
    assert console.host_keys(text) == ["ssh-ed25519 NEW"]


def test_known_hosts() -> None:
    assert console.known_hosts_lines("1.2.3.4", ["ssh-ed25519 A", "ssh-rsa B"]) == (
        "1.2.3.4 ssh-ed25519 A\n1.2.3.4 ssh-rsa B\n"
    )
