"""The rendered cloud-config: golden files, determinism, size, cloud-init's own check."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from openstack_client.plan.make import parcel
from openstack_client.plan.model import Parcel
from openstack_client.roles import ours
from openstack_client.settings import Settings
from openstack_client.userdata import (
    NOVA_LIMIT,
    SIZE_GOAL,
    CarriedFile,
    UserDataContext,
    cloud_init_schema,
    code_hash,
    read_code,
    render,
)
from tests.unit.openstack_client.userdata.contexts import (
    CHECKOUT,
    CODE,
    GOLDEN,
    context,
    golden_context,
    golden_text,
)

CASES = sorted(GOLDEN.glob("*.json"))
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)


@each_case
def test_golden(case: Path) -> None:
    """After an intended change: python3 -m tests.unit.openstack_client.userdata.contexts"""
    assert golden_text(case) == case.with_suffix(".yaml").read_text()


@each_case
def test_cloud_inits_own_schema(case: Path, needs: Callable[[object, str], None]) -> None:
    problems = cloud_init_schema(render(golden_context(case)).text)
    needs(problems is not None, "cloud-init is not installed: apt-get install cloud-init")
    assert problems == []


@each_case
def test_equal_input_gives_equal_bytes(case: Path) -> None:
    first, second = render(golden_context(case)), render(golden_context(case))
    assert (first.data, first.payload) == (second.data, second.payload)


def test_the_order_of_files_does_not_matter() -> None:
    assert render(context(code=CODE)) == render(context(code=CODE[::-1]))


def test_data_is_the_text_compressed_without_a_timestamp() -> None:
    rendered = render(context())
    assert gzip.decompress(rendered.data).decode() == rendered.text
    assert rendered.data[4:8] == bytes(4)
    assert rendered.size == len(rendered.data)


@pytest.mark.parametrize(
    "values",
    [{}, {"role": "worker"}, {"role": "image"}],
    ids=["server", "worker", "image"],
)
def test_real_user_data_stays_under_32_kib(values: dict[str, object]) -> None:
    rendered = render(context(code=read_code(CHECKOUT), **values))
    assert rendered.size < SIZE_GOAL < NOVA_LIMIT


def test_values_are_not_altered() -> None:
    key = 'ssh-ed25519 AAAAC3Nza "quoted" #hash: {brace} {{ jinja }} é'
    config = yaml.safe_load(render(context(ssh_keys=(key,))).text)
    assert config["ssh_authorized_keys"] == [key]


def written(rendered_context: UserDataContext) -> dict[str, str]:
    config = yaml.safe_load(render(rendered_context).text)
    return {file["path"]: file["content"] for file in config["write_files"]}


def test_written_files_are_the_files_of_the_checkout() -> None:
    files = written(golden_context(GOLDEN / "server-with-tls.json"))
    source = CHECKOUT / "cloud-init"
    steps = [*source.glob("files/steps/*"), *source.glob("roles/server/steps/*")]
    assert len(steps) > 10
    for path in steps:
        if path.name not in {"__pycache__", "forget.sh"}:  # of machines that become images
            assert files[f"/opt/stackserve/contextualize/{path.name}"] == path.read_text()


def test_an_image_is_cleaned_and_starts_nothing_that_listens() -> None:
    files = written(context(role="image"))
    source = CHECKOUT / "cloud-init" / "roles" / "image" / "steps" / "clean.sh"
    assert files["/opt/stackserve/contextualize/clean.sh"] == source.read_text()
    assert "/opt/stackserve/contextualize/rabbitmq.sh" not in files
    # The web tier is reachable from outside, so it is not installed before a server exists.
    assert "/etc/systemd/system/stackserve-web.service" not in files


def test_the_vm_reports_the_hash_of_the_local_code() -> None:
    settings = written(context())["/etc/stackserve/settings.env"]
    assert f"STACKSERVE_CODE_HASH={code_hash(CODE)}\n" in settings


@pytest.mark.parametrize("role", ["server", "image"])
@pytest.mark.parametrize(("given", "carried"), [(None, 1800), (7200, 7200), (5, 600)])
def test_the_vm_waits_as_long_as_the_launcher(role: str, given: int | None, carried: int) -> None:
    """Uses --timeout-ready, but never so short that a second run comes too late."""
    values = {} if given is None else {"timeout_ready": given}
    made = parcel(Settings(name="demo", **values), ours(role))
    assert isinstance(made, Parcel)
    assert f"READY_TIMEOUT={carried}\n" in gzip.decompress(made.data).decode()


@pytest.mark.parametrize(
    ("given", "carried"),
    [
        ({}, []),
        ({"rate_limit": 10}, ["STACKSERVE_RATE_LIMIT=10"]),
        (
            {"access": "token", "rate_limit": 0.5},
            ["STACKSERVE_ACCESS=token", "STACKSERVE_RATE_LIMIT=0.5"],
        ),
        (
            {
                "access": "oidc",
                "oidc_issuer": "https://id.example.org/realms/course",
                "oidc_audience": "stackserve",
                "oidc_client": "pages",
                "oidc_claim": "groups",
                "oidc_scopes": "staff=operate,staff=jobs",
            },
            [
                "OIDC=yes",
                "STACKSERVE_ACCESS=oidc",
                "STACKSERVE_OIDC_AUDIENCE=stackserve",
                "STACKSERVE_OIDC_CLAIM=groups",
                "STACKSERVE_OIDC_CLIENT=pages",
                "STACKSERVE_OIDC_ISSUER=https://id.example.org/realms/course",
                "STACKSERVE_OIDC_SCOPES=staff=operate,staff=jobs",
            ],
        ),
    ],
)
def test_the_service_gets_the_settings_that_are_not_defaults(
    given: dict[str, Any], carried: list[str]
) -> None:
    made = parcel(Settings(name="demo", **given), ours("server"))
    assert isinstance(made, Parcel)
    found = re.findall(
        r"^ *((?:OIDC|STACKSERVE_(?:ACCESS|RATE_LIMIT|OIDC_[A-Z]+))=.*)$",
        gzip.decompress(made.data).decode(),
        re.M,
    )
    assert found == carried


def test_the_timeout_does_not_change_the_digest() -> None:
    """Running the command again with a longer --timeout-ready finds the server up to date."""
    usual, longer = render(context()), render(context(ready_timeout=7200))
    assert usual.text != longer.text
    assert usual.digest == longer.digest
    assert render(context(port=5101)).digest != usual.digest


def test_any_change_of_the_code_changes_the_hash() -> None:
    changed = CarriedFile(path=CODE[0].path, content=CODE[0].content + b"#")
    assert code_hash((changed, *CODE[1:])) != code_hash(CODE)


def test_each_certificate_gets_its_own_file() -> None:
    case = golden_context(GOLDEN / "server-with-everything.json")
    files = [path for path in written(case) if path.startswith("/usr/local/share/ca-certificates")]
    assert files == [f"/usr/local/share/ca-certificates/stackserve-{n}.crt" for n in (1, 2)]
