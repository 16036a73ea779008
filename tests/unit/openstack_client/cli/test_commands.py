"""The command line without a cloud: flags, exit codes, JSON, serving locally."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from openstack_client import errors
from openstack_client.cli import exit_codes, main, serve_here
from openstack_client.cli.logs import added
from openstack_client.cli.ssh import ssh
from openstack_client.settings import Settings

ROOT = Path(__file__).resolve().parents[4]
VERBS = ("deploy", "plan", "status", "logs", "ssh", "open", "list", "delete")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OS_", "STACKSERVE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(verb: str) -> None:
    shown = CliRunner().invoke(main, [verb, "--help"])
    assert shown.exit_code == 0
    assert "--json" in shown.output and "--os-cloud" in shown.output


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_a_flag_with_help(name: str) -> None:
    shown = CliRunner().invoke(main, ["deploy", "--help"]).output
    assert "--" + name.replace("_", "-") in shown
    assert Settings.model_fields[name].description


def test_exit_codes_are_distinct_and_documented() -> None:
    kinds = errors.LauncherError.__subclasses__()
    codes = [0, errors.LauncherError.exit_code, *(kind.exit_code for kind in kinds)]
    assert len(codes) > 10 and len(set(codes)) == len(codes)
    assert len({kind.code for kind in kinds}) == len(kinds)
    listed = [int(line.split()[0]) for line in exit_codes().splitlines()[2:]]
    assert listed == sorted(codes)
    assert "  10  No deployment with that name" in CliRunner().invoke(main, ["-h"]).output


@pytest.mark.parametrize(
    ("typed", "name", "command"),
    [
        ("", None, ()),
        ("web", "web", ()),
        ("web uptime", "web", ("uptime",)),
        ("-- uptime -p", None, ("uptime", "-p")),
        ("web --key k -- ls -l -- x", "web", ("ls", "-l", "--", "x")),
        ("--name web -- ls", None, ("ls",)),
    ],
)
def test_arguments_after_two_hyphens_run_on_the_server(
    typed: str, name: str | None, command: tuple[str, ...]
) -> None:
    found = ssh.make_context("ssh", typed.split()).params
    assert (found["named"], found["command"]) == (name, command)


def test_an_unknown_flag_points_to_the_two_hyphens() -> None:
    ended = CliRunner().invoke(main, ["ssh", "web", "ls", "-l"])
    assert ended.exit_code == 2
    assert "No such option" in ended.stderr and "ssh [NAME] -- COMMAND" in ended.stderr


def test_follow_cannot_be_combined_with_json() -> None:
    ended = CliRunner().invoke(main, ["logs", "--follow", "--json"])
    assert ended.exit_code == 2 and "--follow" in json.loads(ended.stdout)["message"]


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "deploy"])
def test_without_credentials(verb: str) -> None:
    ended = CliRunner().invoke(main, [verb])
    assert ended.exit_code == 3
    ended = CliRunner().invoke(main, [verb, "--json"])
    assert json.loads(ended.stdout)["code"] == "credentials"


def test_incomplete_credentials_are_reported_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_USERNAME", "demo")
    ended = CliRunner().invoke(main, ["deploy", "--json"])
    assert ended.exit_code == 3
    error = json.loads(ended.stdout)
    assert [p["subject"] for p in error["problems"]][:2] == ["OS_AUTH_URL", "OS_PASSWORD"]


def test_local_flags_are_refused_with_cloud_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    (Path.cwd() / "clouds.yaml").write_text("clouds: {lab: {auth: {auth_url: 'http://x'}}}")
    ended = CliRunner().invoke(main, ["deploy", "--port", "1234", "--json"])
    assert ended.exit_code == 2 and "--local" in json.loads(ended.stdout)["remedy"]


def test_two_names_are_refused() -> None:
    (Path.cwd() / "clouds.yaml").write_text("clouds: {lab: {auth: {auth_url: 'http://x'}}}")
    ended = CliRunner().invoke(main, ["plan", "a", "--name", "b", "--json"])
    assert ended.exit_code == 2


def test_the_embedded_command_line() -> None:
    serve = [sys.executable, "-m", "production_server", "serve"]
    assert serve_here.command(None, None, False, None) == serve
    assert serve_here.command("0.0.0.0", 80, True, 3) == [
        *serve,
        "--host",
        "0.0.0.0",
        "--port",
        "80",
        "--services",
        "--workers",
        "3",
    ]


@pytest.mark.parametrize("here", [True, False])
def test_without_credentials_deploy_serves_here(
    here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []

    def become(arguments: list[str], tls: dict[str, str | None]) -> None:
        became.append(arguments)
        assert tls == {"domain": "a.example", "acme_server": None}
        raise SystemExit(0)

    monkeypatch.setattr(serve_here, "become", become)
    flags = ["--port", "5999", "--flavor", "big", "--workers", "2", "--domain", "a.example"]
    ended = CliRunner().invoke(main, ["deploy", *flags, *(["--local"] if here else [])])
    assert became == [serve_here.command(None, 5999, False, 2)]
    assert ("No OpenStack credentials" in ended.stderr) is not here
    assert ("Ignored on this machine: --flavor.\n" in ended.stderr) is not here


@pytest.mark.parametrize("folder", [ROOT, ROOT / "openstack_client", Path("/")])
def test_start_instance_runs_from_any_folder(folder: Path) -> None:
    shown = subprocess.run(
        [sys.executable, str(ROOT / "openstack_client" / "start_instance.py"), "--help"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert "Usage: start_instance.py" in shown.stdout


def test_start_instance_uses_scripts_run_when_packages_are_missing(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "openstack_client").mkdir(parents=True)
    (checkout / "scripts").mkdir()
    launcher = checkout / "openstack_client" / "start_instance.py"
    launcher.write_text((ROOT / "openstack_client" / "start_instance.py").read_text())
    (checkout / "scripts" / "run").write_text("import sys; print('run', sys.argv[1:])")
    shown = subprocess.run(
        [sys.executable, "-I", "-S", str(launcher), "--port", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stdout.strip() == "run ['--port', '1']", shown.stderr


@pytest.mark.parametrize("package", ["openstack_client", "production_server"])
def test_a_package_runs_with_any_python(package: str, tmp_path: Path) -> None:
    copied = {"openstack_client": "start_instance", "production_server": "places"}[package]
    (tmp_path / package).mkdir()
    (tmp_path / "scripts").mkdir()
    for name in ("__init__.py", "__main__.py", f"{copied}.py"):
        shutil.copy(ROOT / package / name, tmp_path / package)
    (tmp_path / "scripts" / "run").write_text("import sys; print('run', sys.argv[1:])")
    shown = subprocess.run(
        [sys.executable, "-S", "-m", package, "list", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stdout.strip() == f"run ['-m', '{package}', 'list', '--json']", shown.stderr


def test_following_a_log_shows_only_what_is_new() -> None:
    assert added("a\nb\n", "a\nb\nc\n") == "c\n"
    long = "".join(f"line {number}\n" for number in range(100))
    assert added(long, long[500:] + "new\n") == "new\n"
    assert added("x", "y") == "y"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_every_verb_exits_cleanly_when_stopped(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`list` installs no handlers of its own."""

    def stop(*_: object) -> None:
        os.kill(os.getpid(), number)
        pytest.fail("not reached")

    monkeypatch.setattr("openstack_client.cli.list.open_session", stop)
    ended = CliRunner().invoke(main, ["list"])
    assert ended.exit_code == errors.Interrupted.exit_code == 130
    assert "Stopped." in ended.stderr


def test_start_instance_of_a_wheel_names_the_missing_packages(tmp_path: Path) -> None:
    launcher = tmp_path / "site-packages" / "openstack_client" / "start_instance.py"
    launcher.parent.mkdir(parents=True)
    launcher.write_text((ROOT / "openstack_client" / "start_instance.py").read_text())
    shown = subprocess.run(
        [sys.executable, "-I", "-S", str(launcher)], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 1
    assert "is missing click, rich" in shown.stderr and "Install Stackserve" in shown.stderr
