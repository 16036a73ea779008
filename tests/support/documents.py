"""Read the documentation for tests: its pages, links and fenced blocks.

The language of a block says what the tests do with it:

    sh        commands that need no cloud, no root and little time: tests run them as written
    console   commands after `$ ` that need one of these: tests parse them with the real parser
    others    output, settings and diagrams: not tested
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "docs").glob("*.md"))
CONTRIBUTING = ROOT / ".github" / "CONTRIBUTING.md"
PAGES = [README, *GUIDES, CONTRIBUTING, ROOT / "CHANGELOG.md"]
LANGUAGES = {"sh", "console", "python", "toml", "json", "text", "mermaid"}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block and its position."""

    place: str
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    return [
        Block(f"{label(page)}:{text.count(chr(10), 0, found.start()) + 1}", *found.groups())
        for found in FENCE.finditer(text)
    ]


def label(page: Path) -> str:
    """The path of a page, relative to the repository."""
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(prose(page))
    }


def shown_commands(block: Block) -> Iterator[list[str]]:
    """The words of each command of a console block."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            yield shlex.split(line[2:], comments=True)
