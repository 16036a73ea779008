"""The documented commands that need no cloud work as written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.documents import PAGES, README, Block, blocks, label
from tests.support.terminal import PORT, Network, Terminal, make_checkout

RUN = {page: [block for block in blocks(page) if block.language == "sh"] for page in PAGES}
# openstacksdk reads this file on every machine. If it exists, ./scripts/run would deploy.
CLOUDS = Path("/etc/openstack/clouds.yaml")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("new-user")


@pytest.fixture(scope="module")
def checkout(folder: Path) -> Path:
    return make_checkout(folder)


@pytest.fixture
def terminal(
    needs: Callable[[object, str], None], checkout: Path, folder: Path, network: Network
) -> Iterator[Terminal]:
    needs(shutil.which("curl"), "curl is not installed: apt-get install curl")
    needs(not CLOUDS.exists(), f"{CLOUDS} exists: ./scripts/run would deploy to that cloud")
    needs(
        network.port_is_free,
        f"port {PORT} is in use, and there is no network namespace",
    )
    with Terminal(checkout, folder / "home", network) as terminal:
        yield terminal


def test_first_page_installs_stackserve() -> None:
    """Later pages use `stackserve`, which the first page installs."""
    assert PAGES[0] == README
    assert any("pip install ." in block.text for block in RUN[README])


# The order matters: the first page installs what the others use.
@pytest.mark.parametrize("page", [page for page, found in RUN.items() if found], ids=label)
def test_commands_of_a_page(page: Path, terminal: Terminal) -> None:
    output = ""
    for block in blocks(page):
        if block.language == "sh":
            output = terminal.run(block)
        elif block.language == "json" and output:
            assert rounded(block.text) in rounded(output), block.place
        else:
            output = ""  # only the next block after commands shows their output


def rounded(text: str) -> str:
    """The text with numbers rounded, because their last digits differ between processors."""
    return re.sub(r"\d\.\d{5,}", lambda found: f"{float(found[0]):.4f}", text.strip())


def test_failing_command_fails_its_block(terminal: Terminal) -> None:
    with pytest.raises(AssertionError, match=r"PAGE:1:\nfalse; true\n"):
        terminal.run(Block("PAGE:1", "sh", "false; true\n"))
    with pytest.raises(AssertionError, match="no-such-flag"):
        terminal.run(Block("PAGE:2", "sh", "stackserve server serve --no-such-flag\n"))
