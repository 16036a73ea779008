#!/usr/bin/env python3
"""Point the distribution's package sources at the launcher's mirrors.

cloud-init cannot do this: on Debian it keeps the image's sources whatever the mirror, and before
version 23.4 it adds its own to those in sources.list.d. So this edits the existing sources, in
either of apt's two formats. Third-party sources, and whatever the mirrors do not have, stay as they
are.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from private import write

APT = Path("/etc/apt")
SYSTEM = Path("/etc/os-release")
ONE_LINE = re.compile(r"^(deb(?:-src)?\s+)(\[[^\]]*\]\s+)?(\S+)(\s+)(\S+)((?:\s+[^\s#]+)+)(.*)$")
SIGNED_BY = re.compile(r"signed-by=(\S+?)[\s\]]", re.IGNORECASE)
FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)


class Mirrors(NamedTuple):
    """The mirrors of one release. An empty address keeps the image's own."""

    distribution: str
    codename: str
    archive: str
    security: str

    def instead(self, suites: list[str], components: list[str], key: str) -> str:
        """The mirror for a source; empty if there is none, or the source is a third party's."""
        pockets = "security|updates|backports|proposed|proposed-updates"
        own = re.compile(rf"{re.escape(self.codename)}(-({pockets}))?")
        if not suites or not all(own.fullmatch(suite) for suite in suites):
            return ""
        if "main" not in components or (key and f"{self.distribution}-archive" not in key):
            return ""
        of_security = all(suite.endswith("-security") for suite in suites)
        return self.security if of_security else self.archive


def mirrors(system: str, archive: str, security: str) -> Mirrors:
    """The mirrors of the system that os-release describes."""
    values = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', system, re.MULTILINE))
    distribution, codename = values.get("ID", ""), values.get("VERSION_CODENAME", "")
    # Ubuntu's archive includes the security updates; Debian's does not.
    if distribution == "ubuntu":
        security = security or archive
    return Mirrors(distribution, codename, archive, security)


def one_line(text: str, to: Mirrors) -> str:
    """A sources.list that uses the mirrors."""

    def line(found: re.Match[str]) -> str:
        kind, options, uri, gap, suite, components, rest = found.groups(default="")
        key = SIGNED_BY.search(options)
        mirror = to.instead([suite], components.split(), key[1] if key else "")
        return f"{kind}{options}{mirror or uri}{gap}{suite}{components}{rest}"

    return "\n".join(ONE_LINE.sub(line, each) for each in text.split("\n"))


def deb822(text: str, to: Mirrors) -> str:
    """A .sources file that uses the mirrors."""

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
                write(path, texts[path], "root", mode=0o644)
                print(f"{path} now uses the given mirrors")
    if not any(mirror and mirror in text for mirror in to[2:] for text in texts.values()):
        sys.exit(f"error: {APT} has no package source of {to.distribution} {to.codename}")


if __name__ == "__main__":
    main()
