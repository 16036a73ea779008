"""What Erlang is told before it starts RabbitMQ, asked of Erlang itself."""

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


def erlang(ask: str, libraries: str = "", flags: str = "") -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "ERL_LIBS": libraries}
    done = subprocess.run(
        ["erl", "-noshell", "-eval", f"{ask}, halt()."],
        env=environment | {"ERL_AFLAGS": flags},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def asked(question: str) -> str:
    """Of an Erlang that has RabbitMQ's libraries, after the quick start."""
    libraries = SERVER.resolve().parents[1] / "plugins"
    return erlang(f'{START}, io:format("~p", [{question}])', str(libraries))


def test_libraries_tell_of_no_modules() -> None:
    assert asked("[application:get_key(A, modules) || A <- [ssl, ra]]") == "ok [{ok,[]},{ok,[]}]"


def test_rabbitmq_itself_tells_of_all() -> None:
    ask = "[lists:member(M, element(2, application:get_key(rabbit, modules))) || M <- [rabbit]]"
    assert asked(ask) == "ok [true]"


def test_what_it_needs_is_there_at_once() -> None:
    ask = "[erlang:module_loaded(M) || M <- [rabbit, rabbit_misc, ra_server, mnesia, compile]]"
    assert asked(ask) == "ok [true,true,true,true,true]"


def test_a_second_erlang_ends_at_once() -> None:
    assert asked('os:getenv("ERL_AFLAGS")') == 'ok "+V"'
    assert erlang('io:format("started")', flags="+V") == ""


def test_nothing_fails_where_rabbitmq_is_not_found() -> None:
    assert erlang(START) == "ok"


def test_a_version_that_was_not_tested_starts_as_usual(tmp_path: Path) -> None:
    libraries = SERVER.resolve().parents[1] / "plugins"
    rabbit = next(libraries.glob("rabbit-*"))
    (tmp_path / "rabbit-99.1.0").symlink_to(rabbit)
    for library in libraries.glob("*-*"):
        if library != rabbit:
            (tmp_path / library.name).symlink_to(library)
    ask = (
        '[code:lib_dir(rabbit), os:getenv("ERL_AFLAGS"), erlang:module_loaded(rabbit_misc), '
        "element(2, application:get_key(ssl, modules)) =/= []]"
    )
    load = "application:load(ssl)"
    found = erlang(f'{START}, {load}, io:format("~0p", [{ask}])', str(tmp_path), "+pc latin1")
    assert found == f'ok ["{tmp_path}/rabbit-99.1.0",false,false,true]'
