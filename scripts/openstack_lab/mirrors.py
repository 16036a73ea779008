"""Writes this machine's package mirrors, proxies and certificates to a file beside clouds.yaml.

The launcher can pass them on to servers in their user data. The guest image has none of them.
"""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from openstack_lab.lab import Lab, write_private
from openstack_lab.settings import host_environment

FILE = "deployment.toml"
SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))
# Debian's defaults.
STOCK_MIRRORS = {"http://deb.debian.org/debian", "https://deb.debian.org/debian"}
STOCK_SECURITY = {
    "http://deb.debian.org/debian-security",
    "http://security.debian.org/debian-security",
    "http://security.debian.org",
}
SYSTEM_CA = Path("/etc/ssl/certs/ca-certificates.crt")
LOCAL_CA = Path("/usr/local/share/ca-certificates")
PIP_FILES = (Path("/etc/pip.conf"), Path("~/.config/pip/pip.conf"), Path("~/.pip/pip.conf"))


@dataclass(frozen=True)
class Mirrors:
    """What a guest needs on this machine's network. Empty: the guest's default works."""

    apt_mirror: str = ""
    apt_security_mirror: str = ""
    apt_proxy: str = ""
    pip_index: str = ""
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    ca_bundle: str = ""


def reachable(url: str) -> bool:
    """Whether a guest can reach the URL: not on this machine's loopback or disk."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme in ("http", "https") and not (
        host in ("localhost", "::1") or host.startswith("127.")
    )


def debian_mirrors(texts: Iterable[str]) -> tuple[str, str]:
    """The archive and the security archive in sources.list files of either format."""
    urls = [
        url.rstrip("/")
        for text in texts
        for line in text.splitlines()
        if re.match(r"\s*(deb\s|URIs:)", line)
        for url in re.findall(r"https?://[^\s]+", line)
    ]
    security = [url for url in urls if "security" in url and "debian" in url]
    archive = [url for url in urls if url.endswith("/debian") and url not in security]
    return (archive or [""])[0], (security or [""])[0]


def pip_index(environment: Mapping[str, str], configs: Iterable[str]) -> str:
    """The package index that pip is configured to use. As in pip, the variable has priority."""
    found = environment.get("PIP_INDEX_URL", "")
    for text in configs:
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(text)
        except configparser.Error:
            continue
        found = found or parser.get("global", "index-url", fallback="")
    return found


def select(
    environment: Mapping[str, str],
    sources: Iterable[str],
    pip_configs: Iterable[str],
    apt_proxy: str,
    ca_bundle: str,
) -> Mirrors:
    """The settings of the machine that a guest needs and can use."""
    mirror, security = debian_mirrors(sources)
    index = pip_index(environment, pip_configs)

    def variable(name: str) -> str:
        value = environment.get(name) or environment.get(name.upper()) or ""
        return value if name == "no_proxy" or reachable(value) else ""

    return Mirrors(
        apt_mirror=mirror if mirror not in STOCK_MIRRORS and reachable(mirror) else "",
        apt_security_mirror=(
            security if security not in STOCK_SECURITY and reachable(security) else ""
        ),
        apt_proxy=apt_proxy if reachable(apt_proxy) else "",
        pip_index=index if reachable(index) else "",
        http_proxy=variable("http_proxy"),
        https_proxy=variable("https_proxy"),
        no_proxy=variable("no_proxy"),
        ca_bundle=ca_bundle,
    )


def toml(mirrors: Mirrors) -> str:
    """The text of the file. JSON strings are valid TOML strings."""
    lines = [
        "# Package mirrors, proxies and certificates that servers of the lab need.",
        "# The launcher passes them on. If a value is empty, the server uses its default.",
    ]
    lines += [f"{name} = {json.dumps(value)}" for name, value in vars(mirrors).items()]
    return "\n".join(lines) + "\n"


def _private_authorities(environment: Mapping[str, str], folder: Path) -> str:
    """The bundle of certificate authorities that guests must trust, '' if Debian's are enough.

    It has what was added to this machine: a bundle that the environment names, files under
    /usr/local, or entries of the system's bundle that belong to no package.
    """
    named = environment.get("SSL_CERT_FILE") or environment.get("REQUESTS_CA_BUNDLE") or ""
    if named and Path(named).is_file() and Path(named).resolve() != SYSTEM_CA.resolve():
        return named
    extra = sorted(LOCAL_CA.rglob("*.crt")) if LOCAL_CA.is_dir() else []
    texts = [path.read_text() for path in extra] or _unpackaged(SYSTEM_CA)
    if not texts:
        return ""
    bundle = folder / "ca-bundle.pem"
    write_private(bundle, "\n".join(text.strip() for text in texts) + "\n")
    bundle.chmod(0o644)
    return str(bundle)


def certificates(text: str) -> list[str]:
    pattern = r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----"
    return re.findall(pattern, text, re.DOTALL)


def _unpackaged(bundle: Path) -> list[str]:
    """Certificates in the system's bundle that are not in the ca-certificates package."""
    packaged = Path("/usr/share/ca-certificates")
    if not bundle.exists() or not packaged.is_dir():
        return []
    known = {
        "".join(certificate.split())
        for path in packaged.rglob("*.crt")
        for certificate in certificates(path.read_text())
    }
    return [c for c in certificates(bundle.read_text()) if "".join(c.split()) not in known]


def apt_sources() -> list[str]:
    """The contents of this machine's package sources."""
    return [
        path.read_text()
        for place in SOURCES
        for path in (sorted(place.glob("*")) if place.is_dir() else [place])
        if path.suffix in (".list", ".sources") and path.exists()
    ]


def apt_proxy() -> str:
    configured = subprocess.run(
        ["apt-config", "dump", "--format=%v", "Acquire::http::Proxy"],
        capture_output=True,
        text=True,
        check=False,
    )
    return configured.stdout.strip()


def gather(folder: Path) -> Mirrors:
    """Read the settings of this machine."""
    environment = host_environment()
    configs = [path.expanduser() for path in PIP_FILES]
    return select(
        environment,
        apt_sources(),
        [path.read_text() for path in configs if path.exists()],
        apt_proxy(),
        _private_authorities(environment, folder),
    )


def write(lab: Lab) -> None:
    folder = lab.layout.folder
    write_private(folder / FILE, toml(gather(folder)))
