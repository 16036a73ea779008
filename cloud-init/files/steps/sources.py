#!/usr/bin/env python3
"""Points the distribution's own package sources at the mirrors that the launcher gave.

cloud-init is not asked to: Debian's keeps the sources of the image whatever mirror it is given,
and before version 23.4 it writes its own beside those in sources.list.d. So the
sources that are there are changed, in either of apt's two forms. Other people's sources, and
what the given mirrors do not hold, stay as they are.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

APT = Path("/etc/apt")
SYSTEM = Path("/etc/os-release")
ONE_LINE = re.compile(r"^(deb(?:-src)?\s+)(\[[^\]]*\]\s+)?(\S+)(\s+)(\S+)((?:\s+[^\s#]+)+)(.*)$")
SIGNED_BY = re.compile(r"signed-by=(\S+?)[\s\]]", re.IGNORECASE)
FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)


class Mirrors(NamedTuple):
    """Of one distribution and release; an empty address: the image's own stays."""

    distribution: str
    codename: str
    archive: str
    security: str

    def instead(self, suites: list[str], components: list[str], key: str) -> str:
        """The mirror for a source; empty when it is not the distribution's or has none."""
        pockets = "security|updates|backports|proposed|proposed-updates"
        own = re.compile(rf"{re.escape(self.codename)}(-({pockets}))?")
        if not suites or not all(own.fullmatch(suite) for suite in suites):
            return ""
        if "main" not in components or (key and f"{self.distribution}-archive" not in key):
            return ""
        of_security = all(suite.endswith("-security") for suite in suites)
        return self.security if of_security else self.archive


def mirrors(system: str, archive: str, security: str) -> Mirrors:
    """For the system that os-release describes."""
    values = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', system, re.MULTILINE))
    distribution, codename = values.get("ID", ""), values.get("VERSION_CODENAME", "")
    # Ubuntu's archive has its security updates too; Debian keeps them elsewhere.
    if distribution == "ubuntu":
        security = security or archive
    return Mirrors(distribution, codename, archive, security)


def one_line(text: str, to: Mirrors) -> str:
    """sources.list with the mirrors in it."""

    def line(found: re.Match[str]) -> str:
        kind, options, uri, gap, suite, components, rest = found.groups(default="")
        key = SIGNED_BY.search(options)
        mirror = to.instead([suite], components.split(), key[1] if key else "")
        return f"{kind}{options}{mirror or uri}{gap}{suite}{components}{rest}"

    return "\n".join(ONE_LINE.sub(line, each) for each in text.split("\n"))


def deb822(text: str, to: Mirrors) -> str:
    """A .sources file with the mirrors in it."""

    def stanza(text: str) -> str:
        fields = {name.lower(): value for name, value in FIELD.findall(text)}
        mirror = to.instead(
            fields.get("suites", "").split(),
            fields.get("components", "").split(),
            fields.get("signed-by", ""),
        )
        if not mirror:
            return text
        return FIELD.sub(
            lambda found: f"{found[1]}: {mirror}" if found[1].lower() == "uris" else found[0], text
        )

    return "".join(stanza(part) for part in re.split(r"(\n[ \t]*\n)", text))


def main() -> None:
    archive = os.environ.get("APT_MIRROR", "")
    to = mirrors(SYSTEM.read_text(), archive, os.environ.get("APT_SECURITY_MIRROR", ""))
    parts = APT / "sources.list.d"
    forms: list[tuple[Callable[[str, Mirrors], str], list[Path]]] = [
        (one_line, [APT / "sources.list", *sorted(parts.glob("*.list"))]),
        (deb822, sorted(parts.glob("*.sources"))),
    ]
    texts = {}
    for form, paths in forms:
        for path in filter(Path.exists, paths):
            text = path.read_text()
            texts[path] = form(text, to)
            if texts[path] != text:
                path.write_text(texts[path])
                print(f"{path} is changed to the given mirrors")
    if not any(mirror and mirror in text for mirror in to[2:] for text in texts.values()):
        sys.exit(f"error: no package source of {to.distribution} {to.codename} in {APT}")


if __name__ == "__main__":
    main()
