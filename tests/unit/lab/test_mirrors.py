"""The mirrors, proxies and certificates of this machine that guests need."""

from __future__ import annotations

import tomllib

import pytest
from openstack_lab.mirrors import (
    Mirrors,
    certificates,
    debian_mirrors,
    pip_index,
    reachable,
    select,
    toml,
)

ONE_LINE = """
# deb http://old.example/debian bookworm main
deb [signed-by=/k.gpg] http://mirror.example/debian bookworm main
deb http://mirror.example/debian-security bookworm-security main
"""
DEB822 = """Types: deb
URIs: http://mirror.example/debian
Suites: bookworm

Types: deb
URIs: http://mirror.example/debian-security/
Suites: bookworm-security
"""
STOCK = "deb http://deb.debian.org/debian bookworm main\n"


@pytest.mark.parametrize("text", [ONE_LINE, DEB822])
def test_mirrors_are_read_from_both_formats(text: str) -> None:
    assert debian_mirrors([text]) == (
        "http://mirror.example/debian",
        "http://mirror.example/debian-security",
    )


def test_other_archives_are_not_debian_mirrors() -> None:
    assert debian_mirrors(["deb https://packages.example/node nodistro main\n"]) == ("", "")


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("http://proxy.example:3128", True),
        ("http://127.0.0.1:3128", False),
        ("http://localhost:3141/root", False),
        ("file:///srv/simple", False),
        ("", False),
    ],
)
def test_loopback_urls_are_not_reachable(url: str, usable: bool) -> None:
    assert reachable(url) is usable


def test_the_variable_has_priority_as_in_pip() -> None:
    config = "[global]\nindex-url = https://file.example/simple\n"
    assert pip_index({}, ["not an ini file", config]) == "https://file.example/simple"
    assert pip_index({"PIP_INDEX_URL": "https://v.example/simple"}, [config]) == (
        "https://v.example/simple"
    )


def test_default_settings_are_left_out() -> None:
    assert select({}, [STOCK], [], "", "") == Mirrors()


def test_every_other_setting_is_included() -> None:
    found = select(
        {"https_proxy": "http://proxy.example:3128", "NO_PROXY": "example.org"},
        [DEB822],
        ["[global]\nindex-url=https://p.example/simple"],
        "http://apt.example:3142",
        "/ca",
    )
    assert found == Mirrors(
        apt_mirror="http://mirror.example/debian",
        apt_security_mirror="http://mirror.example/debian-security",
        apt_proxy="http://apt.example:3142",
        pip_index="https://p.example/simple",
        https_proxy="http://proxy.example:3128",
        no_proxy="example.org",
        ca_bundle="/ca",
    )


def test_the_file_is_toml() -> None:
    written = toml(Mirrors(apt_mirror='http://a.example/"debian"'))
    read = tomllib.loads(written)
    assert read["apt_mirror"] == 'http://a.example/"debian"' and read["ca_bundle"] == ""


def test_certificates_are_found_in_a_bundle() -> None:
    one = "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"
    assert certificates(f"# name\n{one}\n\n{one}\n") == [one, one]
