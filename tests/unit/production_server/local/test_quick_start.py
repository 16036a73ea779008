"""quick_start.erl, evaluated by Erlang itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from production_server.local.rabbitmq import QUICK_START, SERVER

START = f'io:format("~p ", [file:eval("{QUICK_START}")])'


@pytest.fixture(autouse=True)
def rabbitmq(needs: Callable[[object, str], None]) -> None:
    installed = shutil.which("erl") and SERVER.exists()
    needs(installed, "RabbitMQ is missing: apt-get install rabbitmq-server")


def erlang(expression: str, libraries: str = "", flags: str = "") -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "ERL_LIBS": libraries}
    done = subprocess.run(
        ["erl", "-noshell", "-eval", f"{expression}, halt()."],
        env=environment | {"ERL_AFLAGS": flags},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def value_of(expression: str) -> str:
    """Its value after the quick start, in an Erlang that has RabbitMQ's libraries."""
    libraries = SERVER.resolve().parents[1] / "plugins"
    return erlang(f'{START}, io:format("~p", [{expression}])', str(libraries))


def test_libraries_list_no_modules() -> None:
    expression = "[application:get_key(A, modules) || A <- [ssl, ra]]"
    assert value_of(expression) == "ok [{ok,[]},{ok,[]}]"


def test_rabbitmq_itself_lists_all_its_modules() -> None:
    modules = "element(2, application:get_key(rabbit, modules))"
    assert value_of(f"[lists:member(M, {modules}) || M <- [rabbit]]") == "ok [true]"


def test_the_needed_modules_are_loaded_at_once() -> None:
    modules = "[rabbit, rabbit_misc, ra_server, mnesia, compile]"
    loaded = value_of(f"[erlang:module_loaded(M) || M <- {modules}]")
    assert loaded == "ok [true,true,true,true,true]"


def test_a_second_erlang_exits_at_once() -> None:
    assert value_of('os:getenv("ERL_AFLAGS")') == 'ok "+V"'
    assert erlang('io:format("started")', flags="+V") == ""


def test_it_does_nothing_without_rabbitmq() -> None:
    assert erlang(START) == "ok"


def test_an_untested_version_starts_as_usual(tmp_path: Path) -> None:
    libraries = SERVER.resolve().parents[1] / "plugins"
    rabbit = next(libraries.glob("rabbit-*"))
    (tmp_path / "rabbit-99.1.0").symlink_to(rabbit)
    for library in libraries.glob("*-*"):
        if library != rabbit:
            (tmp_path / library.name).symlink_to(library)
    expression = (
        '[code:lib_dir(rabbit), os:getenv("ERL_AFLAGS"), erlang:module_loaded(rabbit_misc), '
        "element(2, application:get_key(ssl, modules)) =/= []]"
    )
    load = "application:load(ssl)"
    found = erlang(
        f'{START}, {load}, io:format("~0p", [{expression}])', str(tmp_path), "+pc latin1"
    )
    assert found == f'ok ["{tmp_path}/rabbit-99.1.0",false,false,true]'
