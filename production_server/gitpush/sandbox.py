"""How the server runs what handles pushed files: in a sandbox to judge them, then as the service.

One `Runner` for a server with systemd; another place, such as a test, passes its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from production_server.gitpush.layout import ON_SERVER, Layout

SERVER = ("-m", "production_server")
CHECK = ("models", "receive", "-", "--check")
ACTIVATE = ("models", "receive", "-", "--activate")
UPDATE = "/usr/local/sbin/stackserve-update"
RUN = ("systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--service-type=exec")
# It reads the registry and the code, and nothing else of the service: no jobs, no tokens, no
# password of the broker. Whatever a file makes it do ends here.
SANDBOX = (
    "DynamicUser=yes",
    "SupplementaryGroups=stackserve",
    "PrivateNetwork=yes",
    "RestrictAddressFamilies=AF_UNIX",
    "IPAddressDeny=any",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectProc=invisible",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "TemporaryFileSystem=/var/lib/stackserve:ro",
    "BindReadOnlyPaths=/var/lib/stackserve/models",
    "InaccessiblePaths=-/etc/stackserve/server.env -/etc/rabbitmq -/var/lib/stackserve-git",
    "CapabilityBoundingSet=",
    "NoNewPrivileges=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "MemoryMax=1200M",
    "MemorySwapMax=0",
    "TasksMax=64",
    "LimitFSIZE=1G",
    "RuntimeMaxSec=300",
    "EnvironmentFile=/etc/stackserve/settings.env",
    # jax would warn that it cannot use the service's cache.
    "Environment=PYTHONWARNINGS=ignore",
)
SERVICE = (
    "User=stackserve",
    "Group=stackserve",
    "NoNewPrivileges=yes",
    "UMask=0027",
    "RuntimeMaxSec=900",
    "EnvironmentFile=/etc/stackserve/server.env",
)


class Runner(Protocol):
    """The command lines for a pushed version. Each reads it from standard input."""

    def check(self) -> Sequence[str]: ...
    def activate(self) -> Sequence[str]: ...
    def update_code(self, sha256: str, code: str) -> Sequence[str]: ...


@dataclass(frozen=True)
class Systemd:
    """Each command in a transient unit of its own."""

    layout: Layout = ON_SERVER

    def check(self) -> list[str]:
        """Run the gate where it can do no harm."""
        return self._unit(SANDBOX, CHECK)

    def activate(self) -> list[str]:
        """Add the version and serve it, as the service's account."""
        return self._unit(SERVICE, ACTIVATE)

    def update_code(self, sha256: str, code: str) -> list[str]:
        """Change to this code, or stay with the old one: see docs/update.md."""
        return [UPDATE, "code", "--sha256", sha256, "--code", code]

    def _unit(self, properties: Sequence[str], verb: Sequence[str]) -> list[str]:
        app = self.layout.app
        more = (f"WorkingDirectory={app}", f"Environment=PYTHONPATH={app}")
        words = [f"--property={each}" for each in (*properties, *more)]
        return [*RUN, *words, self.layout.python, "-B", *SERVER, *verb]
