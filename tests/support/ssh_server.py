"""An ssh server that runs commands and forwards connections: a server, or the jump host before it.

python -m tests.support.ssh_server ADDRESS PORT HOST_KEY AUTHORIZED_KEYS
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncssh
import psutil

from production_server.local.rabbitmq import free_port
from tests.support.service import ROOT

SSH = shutil.which("ssh") or "/usr/bin/ssh"


class SshServer:
    """A server on a port of its own, which it keeps after a restart."""

    def __init__(
        self,
        folder: Path,
        authorized: Path,
        address: str = "127.0.0.1",
        inside: Callable[[list[str]], list[str]] = list,
    ) -> None:
        self.address = address
        self.inside = inside
        self.port = free_port()
        self.host_key = make_key(folder / "host_key")
        self.authorized = authorized
        self.start()

    @property
    def known_hosts_line(self) -> str:
        key = self.host_key.with_suffix(".pub").read_text().split()[:2]
        return " ".join([f"[{self.address}]:{self.port}", *key]) + "\n"

    @property
    def on_port_22(self) -> str:
        """The same line as for port 22; see `ssh_to`."""
        return " ".join([self.address, *self.known_hosts_line.split()[1:3]]) + "\n"

    @property
    def on_console(self) -> str:
        """How the console of a server with this host key shows it."""
        return "STACKSERVE-HOSTKEY " + " ".join(self.known_hosts_line.split()[1:3]) + "\n"

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.support.ssh_server", self.address, str(self.port)]
        self.process = subprocess.Popen(
            self.inside([*command, str(self.host_key), str(self.authorized)]),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"listening\n"

    def stop(self) -> None:
        # In a namespace, the server is a child of the program that enters it.
        for child in psutil.Process(self.process.pid).children(recursive=True):
            child.kill()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def users_ssh(folder: Path, jump: SshServer, key: Path) -> Path:
    """A folder for PATH with an `ssh` that knows the jump host and its key.

    ssh finds a user's configuration by the account, not by HOME.
    """
    known = folder / "known_hosts"
    known.write_text(jump.known_hosts_line)
    config = folder / "config"
    config.write_text(
        f'Match host {jump.address} exec "test %p = {jump.port}"\n'
        f"  IdentityFile {key}\n  IdentitiesOnly yes\n  UserKnownHostsFile {known}\n"
    )
    program = folder / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {SSH} -F {config} "$@"\n')
    program.chmod(0o755)
    return program.parent


def ssh_to(programs: Path, *servers: SshServer) -> None:
    """Write an `ssh` for PATH that finds these servers, as if they listened on port 22."""
    config = programs / "ssh_config"
    config.write_text(
        "".join(
            f"Host {host.address}\n  Port {host.port}\n  HostKeyAlias {host.address}\n"
            for host in servers
        )
    )
    program = programs / "ssh"
    program.write_text(f'#!/bin/sh\nexec {SSH} -F {config} "$@"\n')
    program.chmod(0o755)


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
    pipe = asyncio.subprocess.PIPE
    shell = await asyncio.create_subprocess_shell(
        process.command or "true", stdin=pipe, stdout=pipe, stderr=pipe
    )
    feeding = asyncio.create_task(_feed(process, shell))
    await process.redirect(stdout=shell.stdout, stderr=shell.stderr)
    code = await shell.wait()
    await process.stdout.drain()
    process.exit(code)
    feeding.cancel()


async def _feed(
    process: asyncssh.SSHServerProcess[bytes], shell: asyncio.subprocess.Process
) -> None:
    """Pass on the input, of which a command need not read all, or any."""
    assert shell.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while block := await process.stdin.read(1 << 16):
            shell.stdin.write(block)
            await shell.stdin.drain()
        shell.stdin.close()


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
