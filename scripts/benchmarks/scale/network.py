"""Worker hosts: network namespaces that reach the front end over a bridge, each with a quota.

All of it is inside the network namespace of this program, so its names and addresses cannot clash
with the machine's or with those of another run, and the kernel removes it with the last process.
"""

from __future__ import annotations

import os
import subprocess
from ipaddress import IPv4Interface, IPv4Network

from benchmarks.scale.quota import Group

# Reserved for benchmarks of networks (RFC 2544).
NETWORK = IPv4Network("198.18.0.0/24")
BRIDGE = "hosts"
FIRST_HOST = 10
MOST_HOSTS = 64

Command = list[str]


def front_address() -> IPv4Interface:
    return IPv4Interface(f"{NETWORK[1]}/{NETWORK.prefixlen}")


def host_address(number: int) -> IPv4Interface:
    """The address of the host with this number, from 1."""
    if not 1 <= number <= MOST_HOSTS:
        raise ValueError(f"there is no host {number}")
    return IPv4Interface(f"{NETWORK[FIRST_HOST + number]}/{NETWORK.prefixlen}")


def front_commands() -> list[Command]:
    """Make the bridge, with the front end's address."""
    return [
        _ip("link", "set", "lo", "up"),
        _ip("link", "add", BRIDGE, "type", "bridge"),
        _ip("address", "add", str(front_address()), "dev", BRIDGE),
        _ip("link", "set", BRIDGE, "up"),
    ]


def host_commands(number: int, pid: int) -> list[Command]:
    """Connect the namespace of a process to the bridge."""
    port = f"host{number}"
    inside = ["nsenter", f"--target={pid}", "--net"]
    return [
        _ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(pid)),
        _ip("link", "set", port, "master", BRIDGE, "up"),
        [*inside, *_ip("link", "set", "lo", "up")],
        [*inside, *_ip("address", "add", str(host_address(number)), "dev", "eth0")],
        [*inside, *_ip("link", "set", "eth0", "up")],
    ]


def _ip(*words: str) -> Command:
    return ["ip", *words]


def run(commands: list[Command]) -> None:
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()}")


class Host:
    """A worker host. It sees one core of the machine and may use its quota of it."""

    def __init__(self, number: int, group: Group) -> None:
        self.name = f"host{number}"
        self.group = group
        cores = sorted(os.sched_getaffinity(0))
        self._core = cores[number % len(cores)]
        # It keeps the namespace alive, and says when it has one.
        self._anchor = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo && exec sleep infinity"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._anchor.stdout
        if not self._anchor.stdout.readline():
            raise SystemExit("unshare --net failed: this kernel has no network namespaces.")
        run(host_commands(number, self._anchor.pid))

    def command(self, words: Command) -> Command:
        """The command that runs another on this host."""
        enter = ["nsenter", f"--target={self._anchor.pid}", "--net"]
        return [*enter, "taskset", "--cpu-list", str(self._core), *self.group.command(words)]
