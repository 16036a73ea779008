"""List what is in the image, for who asks later what to update: sbom.py FOLDER

This runs in the image's build. The image itself has no package database, so nobody could tell
afterwards from which packages its libraries came. The list is CycloneDX, and says no times, so two
builds are equal. The standard library is enough.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

SERVICE = Path("opt/stackserve")
PACKAGE = SERVICE / "app" / "production_server"
FILE = SERVICE / "sbom.cdx.json"
Component = dict[str, object]


def main(image: Path) -> None:
    version = re.search(r'__version__ = "(.+)"', (image / PACKAGE / "__init__.py").read_text())
    parts = [python(), *system_packages(image), *python_packages(image), *models(image)]
    listed = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": "stackserve",
                "version": version[1] if version else "",
            }
        },
        "components": sorted(parts, key=lambda part: (str(part["type"]), str(part["bom-ref"]))),
    }
    (image / FILE).write_text(json.dumps(listed, indent=1) + "\n")


def component(kind: str, name: str, version: str, purl: str) -> Component:
    return {"type": kind, "name": name, "version": version, "bom-ref": purl, "purl": purl}


def python() -> Component:
    """Python itself, which need not come from a package."""
    version = platform.python_version()
    return component("platform", "python", version, f"pkg:generic/python@{version}")


def system_packages(image: Path) -> Iterator[Component]:
    """The distribution's packages that the image's files come from."""
    system = platform.freedesktop_os_release()
    release = f"{system['ID']}-{system.get('VERSION_ID', '')}"
    files = [path.relative_to(image) for path in image.rglob("*") if path.is_file()]
    names = [str(path) for path in files if not path.is_relative_to(SERVICE)]
    # The database may know a file by its path before /lib became a link.
    paths = {f"/{path}" for name in names for path in (name, name.removeprefix("usr/"))}
    command = ["dpkg-query", "--search", *sorted(paths)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    owners = {line.rpartition(": ")[0] for line in found.splitlines()}
    shown = ["dpkg-query", "--show", "-f", "${Package} ${Version} ${Architecture}\n"]
    packages = sorted(name.strip() for owner in owners for name in owner.split(","))
    output = subprocess.run([*shown, *packages], capture_output=True, text=True, check=True).stdout
    for line in sorted(set(output.splitlines())):
        name, version, machine = line.split()
        where = f"pkg:deb/{system['ID']}/{name}@{quote(version, safe='')}"
        yield component("library", name, version, f"{where}?arch={machine}&distro={release}")


def python_packages(image: Path) -> Iterator[Component]:
    folders = (image / SERVICE / "venv" / "lib").glob("python3*/site-packages")
    for package in metadata.distributions(path=[str(folder) for folder in folders]):
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
        purl = f"pkg:pypi/{name}@{quote(package.version, safe='')}"
        yield component("library", name, package.version, purl)


def models(image: Path) -> Iterator[Component]:
    for file in (image / PACKAGE / "shipped").glob("*/model.keras"):
        name, _, version = file.parent.name.rpartition("-")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        yield {
            "type": "machine-learning-model",
            "name": name,
            "version": version,
            "bom-ref": file.parent.name,
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
