"""Every unit, with its drop-ins, as the user data writes them: exposure and memory limits."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from openstack_client.places import TEMPLATES
from openstack_client.userdata.render import cloud_config
from tests.unit.openstack_client.userdata.contexts import GOLDEN, golden_context

ETC = "/etc/systemd/system/"
PACKAGED = Path("/lib/systemd/system")
# It installs packages as root, and nothing is known about their scripts. It does so once.
INSTALLER = "contextualize.service"
OURS = sorted(path.name for path in TEMPLATES.rglob("systemd/*.service"))
# The unit is the package's, the drop-ins are ours.
SERVICES = [name.replace("@.", "@1.") for name in OURS if name != INSTALLER] + ["epmd.service"]
# systemd-analyze multiplies by ten and compares with "greater than": this allows less than 3.0.
BELOW_THREE = "29"


@pytest.fixture(scope="module")
def etc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder /etc/systemd/system of a machine with every role."""
    folder = tmp_path_factory.mktemp("system")
    for case in GOLDEN.glob("*.json"):
        config = yaml.safe_load(cloud_config(golden_context(case), b"the payload"))
        for file in config["write_files"]:
            if file["path"].startswith(ETC):
                path = folder / file["path"].removeprefix(ETC)
                path.parent.mkdir(exist_ok=True)
                path.write_text(file["content"])
    return folder


def test_every_unit_in_the_repository_is_checked(etc: Path) -> None:
    assert sorted(path.name for path in etc.glob("*.service")) == OURS


@pytest.mark.parametrize("service", SERVICES)
def test_the_exposure_is_below_three(
    service: str, etc: Path, needs: Callable[[object, str], None]
) -> None:
    analyze = shutil.which("systemd-analyze")
    needs(analyze, "systemd-analyze is missing: apt-get install systemd")
    packaged = PACKAGED / service
    if not (etc / service.replace("@1.", "@.")).exists():
        needs(packaged.exists(), f"{packaged} is missing: apt-get install rabbitmq-server")
    command = [str(analyze), "security", "--no-pager", "--offline=true"]
    done = subprocess.run(
        [*command, f"--threshold={BELOW_THREE}", service],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{etc}:{PACKAGED}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "exposure level for" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_memory_and_swap_are_limited(service: str, etc: Path) -> None:
    name = service.replace("@1.", "@.")
    texts = [path.read_text() for path in (etc / name, *etc.glob(f"{name}.d/*")) if path.exists()]
    for limit in ("MemoryMax", "MemorySwapMax"):
        assert re.search(rf"^{limit}=\d", "\n".join(texts), re.MULTILINE), limit


@pytest.mark.parametrize("service", ["ssh", "systemd-logind"])
def test_a_boot_that_hangs_can_be_examined(service: str, etc: Path) -> None:
    assert not list(etc.glob(f"{service}*"))


def test_what_announces_an_authority_may_open_the_console(etc: Path) -> None:
    """PrivateDevices closes it to every program of a unit, also to one that runs as root."""
    texts = [(etc / "proxy-stackserve.service").read_text()]
    texts += [drop_in.read_text() for drop_in in (etc / "proxy-stackserve.service.d").iterdir()]
    assert "announce.py" in texts[0]
    assert "PrivateDevices=yes" in "".join(texts)
    assert "DeviceAllow=/dev/console w" in texts[0]
