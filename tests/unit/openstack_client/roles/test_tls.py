"""What --tls adds to a role, and what the launcher reads about it."""

from __future__ import annotations

import pytest

from openstack_client.errors import SettingsError
from openstack_client.plan.make import deployed_role, with_tls
from openstack_client.plan.secured import Secured
from openstack_client.roles import TlsKind, Watched, Who, ours
from openstack_client.service import base_url, page_url
from openstack_client.settings import Settings
from openstack_client.watch import console

SECURE = ours("server").with_tls()


def test_users_reach_both_ports_and_the_page_is_on_the_secure_one() -> None:
    assert [one.port for one in SECURE.ports if one.who is Who.USERS] == [5100, 443]
    assert SECURE.port == 5100
    assert page_url(SECURE.watched, "192.0.2.1") == "https://192.0.2.1/predictions"
    assert page_url(ours("server").watched, "192.0.2.1") == "http://192.0.2.1:5100/predictions"


def test_the_proxy_starts_before_the_server_counts_as_ready() -> None:
    assert SECURE.stages[-2:] == ("proxy", "ready")
    assert "proxy" in SECURE.steps["ready"].after
    assert SECURE.units["proxy"] == "proxy-stackserve"
    assert "nginx-light" in SECURE.packages
    assert [name for name, _ in SECURE.in_order][-1] == "ready"


def test_the_metadata_remembers_it() -> None:
    kept = Watched.from_metadata(SECURE.watched.as_metadata())
    assert kept == SECURE.watched
    assert kept is not None and kept.tls
    assert not ours("server").watched.tls


def test_the_end_of_a_tunnel_has_its_port_in_the_url() -> None:
    assert base_url("127.0.0.1", 40001, tls=True) == "https://127.0.0.1:40001"
    assert base_url("2001:db8::1", 443) == "https://[2001:db8::1]"


def test_without_the_flag_nothing_changes() -> None:
    assert deployed_role(Settings()) == ours("server")
    assert deployed_role(Settings(tls="self")) == SECURE


def test_a_role_without_tls_is_refused() -> None:
    with pytest.raises(SettingsError, match="the role hello has no TLS"):
        deployed_role(Settings(role="hello", tls="self"))


def test_each_kind_of_certificate_adds_what_it_needs() -> None:
    acme, files = (ours("server").with_tls(kind) for kind in (TlsKind.ACME, TlsKind.FILES))
    assert set(acme.packages) - set(SECURE.packages) == {"dehydrated"}
    (challenge,) = set(acme.ports) - set(SECURE.ports)
    assert (challenge.port, challenge.who) == (80, Who.EVERYBODY)
    assert (files.packages, files.ports) == (SECURE.packages, SECURE.ports)
    # A launcher that was interrupted may come back with the certificate days later.
    limits = [role.steps["proxy"].limit for role in (SECURE, acme, files)]
    assert limits == [1800, 1800, "launcher"]
    assert [role.certificate for role in (ours("server"), acme, files)] == [None, "acme", "files"]


def test_a_role_without_this_kind_is_refused() -> None:
    assert SECURE.tls is not None
    plain = SECURE.model_copy(update={"tls": SECURE.tls.model_copy(update={"files": None})})
    with pytest.raises(SettingsError, match=r"--tls CERT,KEY: the role server has no tls\.files"):
        with_tls(plain, Secured(TlsKind.FILES))


def test_the_last_fingerprint_on_the_console_counts() -> None:
    first, second = "a" * 64, "b" * 64
    text = (
        f"x\r\n\nSTACKSERVE-AUTHORITY sha256={first}\r\nlogin: STACKSERVE-AUTHORITY sha256={second}"
    )
    assert console.authority(text) == second
    assert console.authority("STACKSERVE-AUTHORITY sha256=" + "a" * 63) == ""
    assert console.authority("") == ""


def test_a_step_that_waits_has_begun_and_nothing_more() -> None:
    marks = [console.Mark("proxy", "begin"), console.Mark("ready", "begin")]
    assert console.waits_for(marks, "proxy")
    assert not console.waits_for([*marks, console.Mark("proxy", "done")], "proxy")
    assert not console.waits_for(marks, "code")
