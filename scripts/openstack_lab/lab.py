"""One lab as a value: settings, secrets and choices, for declarations and templates."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from openstack_lab.layout import Layout
from openstack_lab.settings import Hypervisor, Settings, from_environment

# Names of Nova's two hosts; Neutron's agents run on the real one.
HOST = "lab"
FAKE_HOST = "lab-fake"
REGION = "RegionOne"
PORTS = {
    "keystone": 5000,
    "glance": 9292,
    "placement": 8778,
    "nova": 8774,
    "metadata": 8775,
    "neutron": 9696,
}


@dataclass(frozen=True)
class Secrets:
    """Generated for each lab, kept in one file that only root reads."""

    admin: str
    demo: str
    service: str
    database: str
    queue: str
    metadata: str


@dataclass(frozen=True)
class Choices:
    """What the last `up` asked for, so that the next one without flags means the same."""

    hypervisor: Hypervisor = Hypervisor.QEMU
    network: str = ""
    cache: str = ""


@dataclass(frozen=True)
class Lab:
    """Everything that a declaration or a template may ask for."""

    layout: Layout
    secrets: Secrets
    choices: Choices
    nameservers: tuple[str, ...] = ()
    kvm: bool = False

    @property
    def settings(self) -> Settings:
        return self.layout.settings

    @property
    def api(self) -> str:
        return str(self.settings.api_address)

    def url(self, service: str) -> str:
        return f"http://{self.api}:{PORTS[service]}"

    def database(self, name: str) -> str:
        return (
            f"mysql+pymysql://openstack:{self.secrets.database}@127.0.0.1:3306/{name}?charset=utf8"
        )

    @property
    def queue(self) -> str:
        return f"rabbit://openstack:{self.secrets.queue}@127.0.0.1:5672/"

    @property
    def broker(self) -> str:
        """The same queue for a health check."""
        return f"127.0.0.1:5672 openstack {self.secrets.queue}"

    @property
    def real_host(self) -> str:
        return HOST

    @property
    def fake_host(self) -> str:
        return FAKE_HOST


def write_private(path: Path, text: str) -> bool:
    """Write a file that only its owner reads; says whether that changed anything."""
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.touch(mode=0o600)
    new.chmod(0o600)
    new.write_text(text)
    new.replace(path)
    return True


def load_secrets(layout: Layout) -> Secrets:
    """This lab's secrets, made at the first call."""
    if layout.secrets.exists():
        return Secrets(**json.loads(layout.secrets.read_text()))
    made = Secrets(**{field.name: secrets.token_urlsafe(18) for field in fields(Secrets)})
    write_private(layout.secrets, json.dumps(asdict(made), indent=1))
    return made


def load_choices(layout: Layout) -> Choices | None:
    if not layout.choices.exists():
        return None
    kept = json.loads(layout.choices.read_text())
    return Choices(Hypervisor(kept["hypervisor"]), kept.get("network", ""), kept.get("cache", ""))


def find(folder: str | None = None, cache: str | None = None, network: str | None = None) -> Layout:
    """The lab that flags and environment name; what they leave open is as its `up` had it."""
    layout = Layout(from_environment(folder, cache, network))
    kept = load_choices(layout) or Choices()
    return Layout(
        from_environment(folder, cache or kept.cache or None, network or kept.network or None)
    )


def save_choices(layout: Layout, choices: Choices) -> None:
    write_private(layout.choices, json.dumps(asdict(choices)))
