"""Settings of the service that a server that stays does not get."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from openstack_client.plan import make as making
from openstack_client.plan import noted
from openstack_client.plan.model import Parcel, Plan
from openstack_client.settings import merge
from tests.unit.openstack_client.plan.test_decide import PARCEL, make, server, whole

OIDC = {"access": "oidc", "oidc_issuer": "https://id.example.org", "oidc_audience": "stackserve"}


def parcel(**flags: Any) -> Parcel:
    found = making.parcel(merge(flags, {}, None)[0])
    assert isinstance(found, Parcel)
    return found


def plan(made: Parcel, wanted: Parcel, *, notes: bool = True, **flags: Any) -> Plan:
    """A plan for a server that was created with one parcel, while the other one is asked for."""
    there = server(data=made.digest, code=made.code_hash)
    metadata = {**there.metadata, **(noted.metadata_of(made) if notes else {})}
    mine = whole(servers=(dataclasses.replace(there, metadata=metadata),))
    return make(mine, parcel=wanted, **flags)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, {"access": "token"}, "--access open, not token"),
        ({"access": "token"}, {}, "--access token, not open"),
        ({}, {"rate_limit": 5}, "--rate-limit none, not 5"),
        ({"rate_limit": 5}, {"rate_limit": 7}, "--rate-limit 5, not 7"),
        (
            OIDC,
            OIDC | {"oidc_audience": "else", "rate_limit": 2},
            "--oidc-audience stackserve, not else; --rate-limit none, not 2",
        ),
    ],
)
@pytest.mark.parametrize("code", ["", "other"])
def test_the_plan_names_what_stays(
    before: dict[str, Any], after: dict[str, Any], words: str, code: str
) -> None:
    wanted = parcel(**after)
    wanted = dataclasses.replace(wanted, code_hash=code or wanted.code_hash)
    (warning,) = [one for one in plan(parcel(**before), wanted, **after).warnings if words in one]
    assert "deploy does not change that. --recreate replaces the server" in warning
    assert ("different code" in warning) is bool(code)
    assert "different settings" not in warning


@pytest.mark.parametrize("notes", [True, False])
def test_nothing_to_say_about_the_same_settings(notes: bool) -> None:
    made = parcel(**OIDC, rate_limit=5)
    found = plan(made, made, notes=notes, **OIDC)
    assert not [warning for warning in found.warnings if "created with" in warning]
    assert noted.preset(found.front, "oidc") == "oidc"


def test_an_older_server_does_not_say_what_it_has() -> None:
    wanted = dataclasses.replace(parcel(access="token", rate_limit=5), code_hash="other")
    found = plan(parcel(), wanted, notes=False, access="token", rate_limit=5)
    assert "does not say whether it was created with --access token --rate-limit 5" in "".join(
        found.warnings
    )
    assert noted.preset(found.front, "token") is None
    assert "who could before" in {one.who for one in found.openings}


def test_who_may_use_a_server_that_stays_is_what_it_notes() -> None:
    wanted = parcel(access="token")
    found = plan(parcel(), wanted, access="token")
    assert noted.preset(found.front, "token") == "open"
    assert "anybody" in {one.who for one in found.openings}
    new = make(parcel=wanted, access="token")
    assert noted.preset(new.front, "token") == "token"
    assert "--recreate" not in "".join(new.warnings)


def test_notes_that_somebody_changed() -> None:
    there = server()
    changed = dataclasses.replace(there, metadata={**there.metadata, noted.ACCESS_KEY: "x"})
    assert noted.preset(make(whole(servers=(changed,))).front, "open") is None


def test_a_role_without_predictions_notes_nothing() -> None:
    assert noted.metadata_of(PARCEL) == {}
    assert noted.as_metadata(()) == {"stackserve_access": "open"}


def test_a_long_value_is_noted_by_its_hash() -> None:
    scopes = ",".join(f"group-{number}=predict" for number in range(30))
    made, other = (parcel(**OIDC, oidc_scopes=value) for value in (scopes, scopes + ",a=jobs"))
    assert max(map(len, noted.metadata_of(made).values())) <= 255
    assert "--oidc-scopes sha256:" in "".join(plan(made, other, **OIDC).warnings)
