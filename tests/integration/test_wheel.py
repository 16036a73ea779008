"""Build the wheel, install it with the locked dependencies, and use it from another folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from environment import VENV, uv_environment

from openstack_client import __version__
from production_server.local.rabbitmq import free_port
from tests.support.rows import PATIENT

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
PACKAGED = ("openstack_client", "production_server", "cloud-init")
START_SECONDS = 120
STOP_SECONDS = 30

# Writes what a server or an image gets; run once from the wheel and once from the checkout.
RENDER = """
import sys
from pathlib import Path
from openstack_client.containers.context import choose, gather, pack
from openstack_client.places import IMPORT_FOLDER
from openstack_client.roles import names, ours
from openstack_client.userdata import UserDataContext, read_code, render, template_files

folder = Path(sys.argv[1])
code = read_code(IMPORT_FOLDER)
image = gather(code, choose(None, Path("none"), code))
(folder / "image.tar").write_bytes(pack(image.files))
for role in map(ours, names()):
    rendered = render(UserDataContext(role=role, name="demo", code=code))
    (folder / f"{role.name}.data").write_bytes(rendered.data)
    (folder / f"{role.name}.payload").write_bytes(rendered.payload)
for name, content in template_files().items():
    (folder / name.replace("/", "+")).write_bytes(content)
"""

# Load the completion script, then print the completions that the Tab key would offer.
COMPLETE = {
    "bash": """
        eval "$(stackserve completion bash)"
        complete -p stackserve > registered && grep -q _stackserve_completion registered || exit 1
        COMP_WORDS=(TYPED); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _stackserve_completion stackserve; echo "${COMPREPLY[@]}"
    """,
    # Scripts have no line editor, so these functions replace two of its builtins.
    "zsh": """
        compdef() { [[ $1 == _stackserve_completion && $2 == stackserve ]] || exit 1 }
        _describe() { print ${completions_with_descriptions%%:*} }
        eval "$(stackserve completion zsh)"
        words=(TYPED); CURRENT=$#words; _stackserve_completion
    """,
    "fish": """
        stackserve completion fish | source
        complete --do-complete "TYPED" | string replace --regex '\\t.*' ''
    """,
}


@dataclass
class Installed:
    """An environment with only the wheel and its dependencies, and a working folder."""

    bin: Path
    folder: Path

    @property
    def python(self) -> str:
        return str(self.bin / "python")

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.bin), os.defpath])
        return {"PATH": path, "HOME": str(self.folder), "LANG": "C.UTF-8", "TERM": "dumb"}

    @property
    def packages(self) -> Path:
        return next((self.bin.parent / "lib").glob("python3*/site-packages"))

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def uv(*arguments: str | Path) -> None:
    done = subprocess.run(
        [str(UV), *map(str, arguments)],
        env=uv_environment(VENV),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the source distribution, as an installer would."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    place = tmp_path_factory.mktemp("installed")
    python = place / "venv" / "bin" / "python"
    uv("venv", "--python", sys.executable, place / "venv")
    locked = ("--require-hashes", "-r", ROOT / "requirements.txt")
    uv("pip", "install", "--python", python, *locked)
    uv("pip", "install", "--python", python, "--no-deps", wheel)
    uv("pip", "check", "--python", python)
    folder = place / "elsewhere"
    folder.mkdir()
    return Installed(python.parent, folder)


@pytest.fixture
def served(installed: Installed) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run `stackserve deploy` without credentials, which serves here; yields process and URL."""
    port = free_port()
    with (installed.folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [str(installed.bin / "stackserve"), "deploy", "--port", str(port)],
            cwd=installed.folder,
            env=installed.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/ready", timeout=10).status_code == 200:
                return True
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    return False


def test_wheel_has_every_file_of_both_packages_and_the_templates(
    wheel: Path, needs: Callable[[object, str], None]
) -> None:
    needs((ROOT / ".git").exists() and shutil.which("git"), "this is not a clone of the repository")
    listed = ["git", "ls-files", "-z", *PACKAGED]
    tracked = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wrong = []
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        for name in tracked.rstrip("\0").split("\0"):
            inside = f"openstack_client/{name}" if name.startswith("cloud-init/") else name
            if inside not in held or archive.read(inside) != (ROOT / name).read_bytes():
                wrong.append(name)
    assert len(held) > 200 and wrong == []


def test_wheel_has_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    roots = {name.partition("/")[0] for name in names}
    assert roots == {
        "openstack_client",
        "production_server",
        f"stackserve-{__version__}.dist-info",
    }
    assert [name for name in names if name.endswith(".pyc")] == []


def test_every_entry_point_prints_the_version(installed: Installed) -> None:
    modules = ((installed.python, "-m", name) for name in ("openstack_client", "production_server"))
    ways = (("stackserve",), ("stackserve", "server"), *modules)
    assert {installed.run(*way, "--version") for way in ways} == {f"stackserve {__version__}\n"}


def test_help_of_launcher_and_server(installed: Installed) -> None:
    shown = installed.run("stackserve", "--help")
    assert "\n  deploy " in shown and "\n  server " in shown
    assert "Usage: stackserve plan " in installed.run("stackserve", "plan", "--help")
    assert "Usage: stackserve server train " in installed.run(
        "stackserve", "server", "train", "--help"
    )
    launcher = str(installed.packages / "openstack_client" / "start_instance.py")
    assert "Usage: start_instance.py" in installed.run(installed.python, launcher, "--help")


def test_deploy_does_not_import_the_server(installed: Installed) -> None:
    program = (
        "import sys; from openstack_client.cli import main\n"
        "main(['deploy', '--help'], standalone_mode=False)\n"
        "print([name for name in ('production_server', 'flask', 'jax') if name in sys.modules])"
    )
    assert installed.run(installed.python, "-c", program).endswith("[]\n")


def test_installed_service_predicts_and_stops_on_ctrl_c(
    installed: Installed, served: tuple[subprocess.Popen[bytes], str]
) -> None:
    # Python would import this module if it searched the current folder.
    (installed.folder / "production_server.py").write_text("raise SystemExit('the wrong one')")
    before = set(installed.packages.iterdir())
    process, url = served
    assert ready(url, process), (installed.folder / "output").read_text()
    answer = httpx.get(f"{url}/predict", params=PATIENT, timeout=10)
    assert answer.status_code == 200 and answer.json()["version"] == "diabetes-1", answer.text
    process.send_signal(signal.SIGINT)
    assert process.wait(STOP_SECONDS) == 0
    assert "No OpenStack credentials" in (installed.folder / "output").read_text()
    home = installed.folder / ".local" / "share" / "stackserve"
    assert (home / "jobs.sqlite3").is_file()
    assert "diabetes-1" in installed.run("stackserve", "server", "models", "list")
    assert set(installed.packages.iterdir()) == before


def test_servers_and_images_get_the_same_files_as_from_a_checkout(
    installed: Installed, tmp_path: Path
) -> None:
    made = {}
    for name, folder, python in (
        ("wheel", installed.folder, installed.python),
        ("checkout", ROOT, sys.executable),
    ):
        (tmp_path / name).mkdir()
        command = [python, "-c", RENDER, str(tmp_path / name)]
        subprocess.run(command, cwd=folder, env=installed.environment, check=True)
        made[name] = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
    assert len(made["wheel"]) > 40
    assert made["wheel"] == made["checkout"]


@pytest.mark.parametrize(("typed", "offered"), [("dep", "deploy"), ("server tok", "tokens")])
@pytest.mark.parametrize("shell", COMPLETE)
def test_shell_completes_commands(
    shell: str,
    typed: str,
    offered: str,
    installed: Installed,
    needs: Callable[[object, str], None],
) -> None:
    needs(shutil.which(shell, path=os.defpath), f"{shell} is missing: apt-get install {shell}")
    script = COMPLETE[shell].replace("TYPED", f"stackserve {typed}")
    assert installed.run(shell, "-c", script).split() == [offered]
