"""Flags, generated from the settings model so that the two cannot drift apart."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from openstack_client.settings import Settings

Function = TypeVar("Function", bound=Callable[..., Any])

# The settings that commands other than deploy and plan use; SSH_SETTINGS is for those with ssh.
CLIENT_SETTINGS = ("name", "timeout_api", "retries", "config_dir")
SSH_SETTINGS = (*CLIENT_SETTINGS, "key", "ssh_via")


def settings_flags(names: Iterable[str] | None = None) -> Callable[[Function], Function]:
    """Add a flag for each setting, or only for the named ones."""
    wanted = list(Settings.model_fields) if names is None else list(names)

    def add(function: Function) -> Function:
        for name in reversed(wanted):
            field = Settings.model_fields[name]
            flag = "--" + name.replace("_", "-")
            kind = click_type(field.annotation)
            function = click.option(flag, name, type=kind, help=field.description)(function)
        return function

    return add


def click_type(annotation: Any) -> click.ParamType[Any]:
    """The type of a flag's value. The settings model validates the value itself."""
    kinds = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    for kind in kinds:
        plain = typing.get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
        if plain is int:
            return click.INT
        if plain is Path:
            return click.Path()
    return click.STRING


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in {typing.Union, types.UnionType}


def cloud_flags(function: Function) -> Function:
    """Add the flags that select the cloud and how to connect to it."""
    options = [
        click.option("--os-cloud", help="Cloud in clouds.yaml. Overrides OS_CLOUD."),
        click.option("--os-region-name", help="Region. Overrides OS_REGION_NAME."),
        click.option("--os-interface", help="public, internal or admin. Overrides OS_INTERFACE."),
        click.option(
            "--os-cacert", type=click.Path(), help="CA certificate of the cloud's API (PEM file)."
        ),
        click.option("--insecure", is_flag=True, help="Do not verify the cloud's certificate."),
        click.option(
            "--settings",
            "settings_path",
            type=click.Path(path_type=Path),
            help="Path of deployment.toml.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def name_argument(function: Function) -> Function:
    """Accept the deployment's name as an argument too."""
    return click.argument("named", metavar="[NAME]", required=False)(function)


def change_flags(function: Function) -> Function:
    """Add the flags that deploy and scale have in common: how to change what is there."""
    options = [
        click.option(
            "--no-drain",
            is_flag=True,
            help="Remove worker VMs at once, without waiting for their tasks.",
        ),
        click.option(
            "--yes", "-y", is_flag=True, help="Skip the question before anything is deleted."
        ),
        click.option(
            "--take-over", is_flag=True, help="Take over from a deploy or scale that was killed."
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function
