"""Flags, made from the settings' own declaration, so that they cannot drift apart."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from openstack_client.settings import Settings

Function = TypeVar("Function", bound=Callable[..., Any])

# What verbs other than deploy and plan need of the settings; the last for those that use ssh.
LOOKING = ("name", "timeout_api", "retries", "config_dir")
LOOKING_INSIDE = (*LOOKING, "key")


def settings_flags(names: Iterable[str] | None = None) -> Callable[[Function], Function]:
    """A flag for each setting (or for those named)."""
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
    """How a flag reads its value; whether the value is good is the settings' business."""
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
    """Which cloud, and how to reach it."""
    options = [
        click.option("--os-cloud", help="Cloud of clouds.yaml, instead of OS_CLOUD."),
        click.option("--os-region-name", help="Region, instead of OS_REGION_NAME."),
        click.option("--os-interface", help="public, internal or admin, instead of OS_INTERFACE."),
        click.option("--os-cacert", type=click.Path(), help="The cloud's certificate authority."),
        click.option("--insecure", is_flag=True, help="Do not check the cloud's certificate."),
        click.option(
            "--settings",
            "settings_path",
            type=click.Path(path_type=Path),
            help="The deployment.toml to read.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Answer in JSON."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def name_argument(function: Function) -> Function:
    """The deployment may also be named without a flag."""
    return click.argument("named", metavar="[NAME]", required=False)(function)
