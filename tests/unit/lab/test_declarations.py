"""The lab's units: complete, in order, and without secrets on command lines."""

from __future__ import annotations

from configparser import ConfigParser
from dataclasses import replace
from pathlib import Path

import jinja2
import pytest
from openstack_lab.lab import FAKE_HOST, HOST, Choices, Lab, Secrets
from openstack_lab.layout import TEMPLATES, Layout
from openstack_lab.render import FILES
from openstack_lab.services import control_plane, declare
from openstack_lab.services.database import DATABASES
from openstack_lab.settings import Hypervisor, from_environment
from openstack_lab.unit import Step, Unit, dependents, from_json, in_order, to_json
from openstack_lab.up import hung

SECRETS = Secrets(
    admin="admin-secret",
    demo="demo-secret",
    service="service-secret",
    database="database-secret",
    queue="queue-secret",
    metadata="metadata-secret",
)


def lab(hypervisor: Hypervisor, folder: Path) -> Lab:
    layout = Layout(from_environment(str(folder), environment={}))
    return Lab(layout, SECRETS, Choices(hypervisor), ("192.0.2.53",))


@pytest.mark.parametrize("hypervisor", list(Hypervisor))
def test_every_requirement_is_declared_and_comes_first(
    hypervisor: Hypervisor, tmp_path: Path
) -> None:
    units = declare(lab(hypervisor, tmp_path))
    names = [unit.name for unit in units]
    assert len(set(names)) == len(names)
    for place, unit in enumerate(units):
        assert set(unit.requires) <= set(names[:place])
        assert unit.title and (unit.command or unit.steps)


def test_the_hypervisor_selects_the_compute_units(tmp_path: Path) -> None:
    names = {kind: {unit.name for unit in declare(lab(kind, tmp_path))} for kind in Hypervisor}
    common = {unit.name for unit in control_plane(lab(Hypervisor.FAKE, tmp_path))}
    assert names[Hypervisor.FAKE] - common == {"nova-compute-fake", "neutron-fake-agent"}
    assert names[Hypervisor.QEMU] - common == {"nova-compute-qemu", "libvirt", "hardware"}
    assert names[Hypervisor.BOTH] == names[Hypervisor.FAKE] | names[Hypervisor.QEMU]


def test_no_secret_is_on_a_command_line(tmp_path: Path) -> None:
    for unit in declare(lab(Hypervisor.BOTH, tmp_path)):
        words = " ".join([*unit.command, *(word for step in unit.steps for word in step.command)])
        assert "-secret" not in words, unit.name


def test_units_are_the_same_after_json(tmp_path: Path) -> None:
    units = declare(lab(Hypervisor.BOTH, tmp_path))
    assert from_json(to_json(units)) == units


def test_a_changed_config_changes_the_fingerprint() -> None:
    unit = Unit(name="a", title="A", command=("a",), config="1")
    assert unit.fingerprint != replace(unit, config="2").fingerprint


def test_a_cycle_is_an_error() -> None:
    circle = [
        Unit(name="a", title="A", command=("a",), requires=("b",)),
        Unit(name="b", title="B", command=("b",), requires=("a",)),
    ]
    with pytest.raises(ValueError, match="a -> b -> a"):
        in_order(circle)


def test_a_missing_requirement_is_an_error() -> None:
    with pytest.raises(ValueError, match="requires missing"):
        in_order([Unit(name="a", title="A", command=("a",), requires=("missing",))])


def test_indirect_dependents_are_found() -> None:
    units = [
        Unit(name="switch", title="S", command=("s",)),
        Unit(name="bridges", title="B", steps=(Step(("b",)),), requires=("switch",)),
        Unit(name="agent", title="A", command=("a",), requires=("bridges",)),
        Unit(name="queue", title="Q", command=("q",)),
    ]
    assert dependents("switch", units) == {"bridges", "agent"}


def rendered(folder: str, file: str, a_lab: Lab) -> str:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return templates.get_template(f"{file}.j2").render(
        lab=a_lab,
        conf="/conf",
        data="/data",
        venv="/venv",
        databases=DATABASES,
        host=FAKE_HOST if folder.endswith("-fake") else HOST,
    )


OSLO = [
    (folder, file)
    for folder, files in FILES.items()
    for file in files
    if folder in ("keystone", "glance", "placement", "neutron") or folder.startswith("nova")
]


@pytest.mark.parametrize(("folder", "file"), OSLO)
def test_config_files_are_well_formed(folder: str, file: str, tmp_path: Path) -> None:
    """Each line is a section, an option or a comment: templates can lose line ends."""
    text = rendered(folder, file, lab(Hypervisor.BOTH, tmp_path))
    parser = ConfigParser(strict=False, interpolation=None)
    parser.read_string(text)
    for section in (parser.default_section, *parser.sections()):
        for option, value in parser.items(section):
            assert " " not in option, option
            assert "\n" not in value and "[" not in value, (option, value)
            assert " = " not in value, (option, value)


@pytest.mark.parametrize("folder", ["nova-compute-qemu", "nova-compute-fake"])
def test_nova_compute_has_no_database(folder: str, tmp_path: Path) -> None:
    """It refuses to start with one."""
    text = rendered(folder, "nova-compute.conf", lab(Hypervisor.BOTH, tmp_path))
    assert "database" not in text.replace("No database", "") and "mysql" not in text


def test_guests_have_the_cpu_instructions_that_jax_needs(tmp_path: Path) -> None:
    emulated = lab(Hypervisor.QEMU, tmp_path)
    assert "cpu_models = Haswell-noTSX" in rendered(
        "nova-compute-qemu", "nova-compute.conf", emulated
    )
    real = replace(emulated, kvm=True)
    text = rendered("nova-compute-qemu", "nova-compute.conf", real)
    assert "virt_type = kvm" in text and "cpu_mode = host-passthrough" in text


def test_all_apis_listen_on_one_address(tmp_path: Path) -> None:
    a_lab = lab(Hypervisor.FAKE, tmp_path)
    apis = [unit for unit in declare(a_lab) if "uwsgi" in " ".join(unit.command)]
    assert len(apis) == 6
    for unit in apis:
        address = unit.command[unit.command.index("--http-socket") + 1].rpartition(":")[0]
        assert address in ("172.24.5.2", "127.0.0.1")


def test_only_a_daemon_that_hangs_needs_a_restart() -> None:
    def unit(name: str, state: str, pid: int, task: bool = False) -> dict[str, object]:
        return {"name": name, "state": state, "pid": pid, "task": task}

    units = [
        unit("hangs", "failed", 7),
        unit("died", "failed", 0),
        unit("works", "ready", 8),
        unit("task", "failed", 9, task=True),
    ]
    assert hung(units) == ["hangs"]


def test_agents_that_set_up_ports_restart_after_the_switch(tmp_path: Path) -> None:
    units = {unit.name: unit for unit in declare(lab(Hypervisor.FAKE, tmp_path))}
    tied = {name for name, unit in units.items() if "switch" in unit.tied_to}
    assert tied == {"neutron-openvswitch", "neutron-dhcp", "neutron-l3"}
    for name in tied:
        assert name in dependents("switch", units.values())


def test_each_database_is_recreated_until_its_tables_are_complete(tmp_path: Path) -> None:
    resets = {
        unit.name: " ".join(word for step in unit.reset for word in step.command)
        for unit in declare(lab(Hypervisor.BOTH, tmp_path))
        if unit.reset
    }
    for database in DATABASES:
        recreated = f"DROP DATABASE IF EXISTS {database}; CREATE DATABASE {database};"
        assert sum(recreated in statements for statements in resets.values()) == 1, database


def test_migrations_have_ten_minutes(tmp_path: Path) -> None:
    schemas = [unit for unit in declare(lab(Hypervisor.FAKE, tmp_path)) if unit.reset]
    assert len(schemas) == 6
    assert {step.timeout for unit in schemas for step in unit.steps} == {600}


def test_schemas_wait_for_the_database_themselves(tmp_path: Path) -> None:
    """A task that was done in an earlier start does not wait for its own requirements."""
    for unit in declare(lab(Hypervisor.BOTH, tmp_path)):
        assert not unit.reset or "database" in unit.requires, unit.name


def test_a_commit_survives_a_kill(tmp_path: Path) -> None:
    """A task's marker must not be on disk before what the task wrote to the database."""
    text = rendered("mysql", "mariadb.cnf", lab(Hypervisor.FAKE, tmp_path))
    assert "innodb-flush-log-at-trx-commit = 2" in text
