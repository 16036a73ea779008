"""The paths of the lab's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from openstack_lab.settings import Settings

PACKAGE = Path(__file__).resolve().parent
SCRIPTS = PACKAGE.parent
TEMPLATES = PACKAGE / "templates"
REQUIREMENTS = PACKAGE / "requirements.txt"


@dataclass(frozen=True)
class Layout:
    """Paths in the lab's folder and its cache."""

    settings: Settings

    @property
    def folder(self) -> Path:
        return self.settings.folder

    @property
    def venv(self) -> Path:
        return self.settings.cache / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def images(self) -> Path:
        return self.settings.cache / "guest"

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def markers(self) -> Path:
        """One file per finished task, with the fingerprint of its declaration."""
        return self.state / "done"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets.json"

    @property
    def choices(self) -> Path:
        """The options of the last `up`."""
        return self.folder / "lab.json"

    @property
    def units(self) -> Path:
        return self.run / "units.json"

    @property
    def control(self) -> Path:
        return self.run / "control.sock"

    @property
    def supervisor(self) -> Path:
        return self.run / "supervisor.json"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    def bin(self, name: str) -> str:
        return str(self.venv / "bin" / name)

    def conf(self, service: str) -> Path:
        return self.config / service

    def data(self, service: str) -> Path:
        return self.state / service
