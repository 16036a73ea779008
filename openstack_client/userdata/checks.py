"""Validate user data: its size, and the structure of its cloud-config.

`check_cloud_config` knows only what our templates use, and works everywhere.
`cloud_init_schema` runs cloud-init's own check where it is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from openstack_client.errors import PreflightError, Problem

# Nova accepts at most 65,535 bytes of base64, which encode 49,149 bytes.
NOVA_LIMIT = 49_149
SIZE_GOAL = 32 * 1024

HEADER = "#cloud-config\n"
Mode = Annotated[str, Field(pattern=r"^0[0-7]{3}$")]
Path_ = Annotated[str, Field(pattern=r"^/[^\s]+$")]
Text = Annotated[str, Field(min_length=1)]
Command = Annotated[list[Text], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _WrittenFile(_Strict):
    path: Path_
    content: str
    permissions: Mode
    owner: str = "root:root"
    encoding: Literal["b64"] | None = None


class _User(_Strict):
    name: str
    system: bool
    homedir: Path_
    no_create_home: bool
    shell: Path_
    gecos: str


class _Apt(_Strict):
    preserve_sources_list: Literal[True] | None = None
    proxy: str | None = None
    conf: str | None = None


class CloudConfig(_Strict):
    """The subset of cloud-config that our templates use."""

    package_update: Literal[False]
    package_upgrade: Literal[False]
    users: list[Literal["default"] | _User]
    ssh_authorized_keys: list[str] | None = None
    ssh_genkeytypes: list[Literal["ed25519", "ecdsa"]]
    apt: _Apt | None = None
    bootcmd: list[Command | Text]
    """A command as a list, or a script as text."""
    write_files: list[_WrittenFile]
    runcmd: list[Command] | None = None


class _AnyFile(BaseModel):
    path: Path_


class AnyConfig(BaseModel):
    """Any cloud-config, of a role that is not ours. cloud-init's own schema knows the rest."""

    write_files: list[_AnyFile] = []


Schema = type[CloudConfig] | type[AnyConfig]


def check_size(data: bytes, parts: dict[str, int]) -> None:
    """Raise PreflightError if the user data is too large for Nova; list the size of each part."""
    if len(data) <= NOVA_LIMIT:
        return
    raise PreflightError(
        f"The user data has {len(data):,} bytes; Nova accepts at most {NOVA_LIMIT:,}.",
        "Reduce the largest part: use fewer certificates, keys or settings.",
        problems=[Problem(name, f"{size:,} bytes compressed.") for name, size in parts.items()],
    )


def check_cloud_config(text: str, schema: Schema = CloudConfig) -> None:
    """Raise PreflightError if cloud-init would ignore the cloud-config or parts of it."""
    problems = cloud_config_problems(text, schema)
    if problems:
        raise PreflightError(
            "The rendered cloud-config is not valid.",
            "Check recent changes to the template of the role.",
            problems=problems,
        )


def cloud_config_problems(text: str, schema: Schema = CloudConfig) -> list[Problem]:
    if not text.startswith(HEADER):
        return [
            Problem(
                "first line",
                "must be exactly #cloud-config; otherwise cloud-init ignores the file.",
            )
        ]
    try:
        config = schema.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        return [Problem("YAML", " ".join(str(error).split()))]
    except ValidationError as error:
        return [
            Problem(".".join(map(str, item["loc"])) or "cloud-config", item["msg"] + ".")
            for item in error.errors()
        ]
    paths = [file.path for file in config.write_files]
    return [
        Problem(path, "is written twice.") for path in sorted(set(paths)) if paths.count(path) > 1
    ]


def cloud_init_schema(text: str) -> list[Problem] | None:
    """The problems found by cloud-init's own schema check, or None if it is not installed."""
    program = shutil.which("cloud-init")
    if program is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "user-data.yaml"
        file.write_text(text)
        done = subprocess.run(
            [program, "schema", "-c", str(file)], capture_output=True, text=True, check=False
        )
    output = " ".join((done.stdout + done.stderr).replace(str(file), "user data").split())
    # cloud-init reports deprecations with exit code 0. They break in a later release.
    if done.returncode == 0 and "deprecat" not in output.lower():
        return []
    return [Problem("cloud-init schema", output)]
