"""The settings of --access oidc: their rules, which are the server's, and which go together."""

from __future__ import annotations

import pytest

from openstack_client import oidc
from openstack_client.errors import SettingsError
from openstack_client.settings import PREFIX, merge
from production_server.access.oidc import LOOPBACK, checked_url, scope_map
from production_server.access.policy import ROUTES, Scope

GOOD = {"access": "oidc", "oidc_issuer": "https://id.example.org", "oidc_audience": "course"}


def test_the_rules_name_what_the_server_knows() -> None:
    assert tuple(scope.value for scope in Scope) == oidc.SCOPES
    assert set(oidc.LOOPBACK) == LOOPBACK
    assert ("GET", oidc.CALLBACK) in ROUTES


@pytest.mark.parametrize(
    "value",
    [
        "https://id.example.org/realms/a",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:1",
    ],
)
def test_an_issuer_that_the_server_takes(value: str) -> None:
    assert merge(GOOD | {"oidc_issuer": value}, {}, None)[0].oidc_issuer == checked_url(value)


@pytest.mark.parametrize(
    "value",
    [
        "http://id.example.org",
        "http://127.0.0.1.example.org",
        "id.example.org",
        "https://",
        "ftp://id.example.org",
        "https://me:secret@id.example.org",
        "https://id.example.org/$(reboot)",
        "https://id.example.org\nSTACKSERVE_ACCESS=open",
    ],
)
def test_an_issuer_that_is_refused(value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        merge(GOOD | {"oidc_issuer": value}, {}, None)
    assert [problem.subject for problem in caught.value.problems] == ["--oidc-issuer"]


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("staff=operate,staff=jobs,students=predict", True),
        ("a=b=models,", True),
        ("staff", False),
        ("=predict", False),
        ("staff=admin", False),
        ("staff=operate;students=predict", False),
        ("all staff=operate", False),
    ],
)
def test_scopes_that_the_server_takes(value: str, fits: bool) -> None:
    given = GOOD | {"oidc_scopes": value}
    if fits:
        assert scope_map(str(merge(given, {}, None)[0].oidc_scopes))
    else:
        with pytest.raises(SettingsError, match="--oidc-scopes: "):
            merge(given, {}, None)


@pytest.mark.parametrize("name", ["oidc_audience", "oidc_client", "oidc_claim"])
@pytest.mark.parametrize("value", ["two words", "$HOME", "a\nb", "'"])
def test_values_that_do_not_fit_a_settings_file(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="must not be empty or contain blanks"):
        merge(GOOD | {name: value}, {}, None)


@pytest.mark.parametrize("name", oidc.REQUIRED)
def test_what_is_missing_is_named(name: str) -> None:
    given = {key: value for key, value in GOOD.items() if key != name}
    flag = "--" + name.replace("_", "-")
    with pytest.raises(SettingsError, match=f"{flag}: is required with --access oidc"):
        merge(given, {}, None)


@pytest.mark.parametrize("access", ["open", "token"])
def test_settings_that_do_nothing_are_refused_all_at_once(access: str) -> None:
    env = {f"{PREFIX}OIDC_CLIENT": "pages"}
    given = GOOD | {"access": access, "oidc_claim": "groups", "oidc_scopes": "a=jobs"}
    with pytest.raises(SettingsError) as caught:
        merge(given, env, None)
    assert [problem.subject for problem in caught.value.problems] == [
        "--oidc-audience",
        "--oidc-claim",
        f"{PREFIX}OIDC_CLIENT",
        "--oidc-issuer",
        "--oidc-scopes",
    ]
    assert {problem.remedy for problem in caught.value.problems} == {
        "Add --access oidc, or remove it."
    }
