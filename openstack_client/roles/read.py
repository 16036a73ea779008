"""Read a role's folder: its role.toml, the common steps it names, and whether its files exist."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from openstack_client.errors import Problem, SettingsError
from openstack_client.names import listed, nearest
from openstack_client.places import TEMPLATES
from openstack_client.roles.model import Role, Step

FOLDER = TEMPLATES / "roles"
COMMON_STEPS = TEMPLATES / "steps.toml"
COMMON_FILES = TEMPLATES / "files"
FILE = "role.toml"
TEMPLATE = "user-data.yaml.j2"
GUIDE = "docs/roles.md explains every key."


def names() -> list[str]:
    """Our own roles."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{FILE}"))


@functools.cache
def ours(name: str) -> Role:
    """One of our own roles."""
    return read(FOLDER / name)


def find(wanted: str) -> Role:
    """The role in this folder, or else our own role of this name."""
    folder = Path(wanted).expanduser()
    if not (folder / FILE).is_file() and wanted in names():
        return ours(wanted)
    return read(folder)


def beside(role: Role, name: str) -> Role:
    """The role in a folder beside this one."""
    return ours(name) if is_ours(role) else read(role.folder.parent / name)


def read(folder: Path) -> Role:
    """Read a role. Raises SettingsError with the file, the key and what to do."""
    folder = folder.absolute()
    file = folder / FILE
    declared = _toml(file)
    problems = _unknown_steps(declared)
    if problems:
        raise _refusal(file, problems)
    try:
        role = Role.model_validate(
            {"name": folder.name, **_with_steps(declared), "folder": folder}, strict=False
        )
    except ValidationError as error:
        raise _refusal(file, [_problem(detail) for detail in error.errors()]) from error
    problems = _missing_files(role)
    if problems:
        raise _refusal(file, problems)
    return role


def is_ours(role: Role) -> bool:
    return role.folder.parent == FOLDER


def source(role: Role, name: str) -> Path:
    """A file of the role: in its own folder, or else in cloud-init/files/."""
    own = role.folder / name
    return own if own.is_file() else COMMON_FILES / name


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(
            f"There is no {file}.",
            f"Name a folder with a {FILE}, or one of our roles: {listed(names())}.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.", GUIDE) from error
    except OSError as error:
        raise SettingsError(f"Cannot read {file}: {error.strerror}.") from error


@functools.cache
def _common_steps() -> Mapping[str, Step]:
    return {name: Step.model_validate(step) for name, step in _toml(COMMON_STEPS).items()}


def _own_steps(declared: Mapping[str, Any]) -> Mapping[str, Any]:
    own = declared.get("step", {})
    return own if isinstance(own, dict) else {}


def _with_steps(declared: Mapping[str, Any]) -> dict[str, Any]:
    """The declaration, with each named step's own or common definition in place of its name."""
    own, named = _own_steps(declared), declared.get("steps", [])
    values = {key: value for key, value in declared.items() if key != "step"}
    values["steps"] = {
        name: own[name] if name in own else _common_steps()[name].model_dump() for name in named
    }
    return values


def _unknown_steps(declared: Mapping[str, Any]) -> list[Problem]:
    own, named = _own_steps(declared), declared.get("steps", [])
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return [Problem("steps", "must be a list of names.", GUIDE)]
    known = {*own, *_common_steps()}
    problems = [
        Problem("steps", f"{name!r} is unknown.", f"Define [step.{name}], or use a common step: "
                f"{listed(_common_steps())}.")
        for name in named
        if name not in known
    ]  # fmt: skip
    problems += [
        Problem(f"step.{name}", "is not in the list `steps`.", "Add it there, or remove it.")
        for name in own
        if name not in named
    ]
    return problems


def _missing_files(role: Role) -> list[Problem]:
    files = {TEMPLATE: TEMPLATE} | {f"step.{n}.program": s.program for n, s in role.steps.items()}
    problems = []
    for key, name in files.items():
        if not (role.folder / name).is_file() and not (COMMON_FILES / name).is_file():
            what = "is missing" if key == name else f"there is no {name}"
            problems.append(Problem(key, f"{what} in {role.folder}.", "Create the file."))
    return problems


def _problem(detail: Any) -> Problem:
    key = ".".join(map(str, detail["loc"]))
    if key.startswith("steps."):
        key = key.replace("steps.", "step.", 1)
    if detail["type"] == "extra_forbidden":
        guess = nearest(str(detail["loc"][-1]), [*Role.model_fields, *Step.model_fields])
        return Problem(key, "unknown key.", f"Did you mean {guess}?" if guess else GUIDE)
    what = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "missing":
        what = "is required"
    return Problem(key or "the role", f"{what}.", "" if key else GUIDE)


def _refusal(file: Path, problems: list[Problem]) -> SettingsError:
    return SettingsError(f"{file} does not describe a role.", GUIDE, problems=problems)
