"""An ssh server that runs commands and forwards connections: a server, or the jump host before it.

python -m tests.support.ssh_server ADDRESS PORT HOST_KEY AUTHORIZED_KEYS
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import asyncssh

from production_server.local.rabbitmq import free_port
from tests.support.service import ROOT


class SshServer:
    """A server on a port of its own, which it keeps after a restart."""

    def __init__(self, folder: Path, authorized: Path, address: str = "127.0.0.1") -> None:
        self.address = address
        self.port = free_port()
        self.host_key = make_key(folder / "host_key")
        self.authorized = authorized
        self.start()

    @property
    def known_hosts_line(self) -> str:
        key = self.host_key.with_suffix(".pub").read_text().split()[:2]
        return " ".join([f"[{self.address}]:{self.port}", *key]) + "\n"

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.support.ssh_server", self.address, str(self.port)]
        self.process = subprocess.Popen(
            [*command, str(self.host_key), str(self.authorized)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"listening\n"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def make_key(path: Path) -> Path:
    """Make a key pair; return the private key's path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(str(path))
    path.chmod(0o600)
    key.write_public_key(str(path.with_suffix(".pub")))
    return path


class _Connection(asyncssh.SSHServer):
    def connection_requested(self, *_ends: object) -> bool:
        """Forward to any address."""
        return True


async def _run_command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    shell = await asyncio.create_subprocess_shell(
        process.command or "true", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await shell.communicate()
    process.stdout.write(output)
    process.exit(shell.returncode or 0)


async def _serve(address: str, port: str, host_key: str, authorized: str) -> None:
    acceptor = await asyncssh.listen(
        address,
        int(port),
        server_host_keys=[host_key],
        authorized_client_keys=authorized,
        server_factory=_Connection,
        process_factory=_run_command,
        encoding=None,
    )
    print("listening", flush=True)
    await acceptor.wait_closed()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:5]))
