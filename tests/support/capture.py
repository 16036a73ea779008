"""Everything that the lab's guests send and receive, as it is on the wire.

A raw socket in the lab's network namespace sees the frames of the guests' tap devices, where they
come out of a guest and go into it. Guests of others are there too: `streams` takes those of one
address.

python -m tests.support.capture FILE
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from openstack_lab import namespace
from openstack_lab.layout import Layout

from tests.support.service import ROOT

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
BUFFER = 256 << 20
# A frame that the network card has not split yet.
LONGEST = 1 << 17
LENGTH = struct.Struct("!I")
TAP = "tap"
IPV4, TCP = b"\x08\x00", 6


class Capture:
    """Runs from its creation until `stop`, and writes to a file."""

    def __init__(self, layout: Layout, file: Path) -> None:
        self.file = file
        command = [sys.executable, "-m", "tests.support.capture", str(file)]
        self.process = subprocess.Popen(
            namespace.enter(layout, command),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "listening\n"

    def stop(self) -> int:
        """End it; return how many frames the kernel had to drop."""
        if self.process.poll() is not None:
            return 0
        printed, _ = self.process.communicate("")
        return int(printed.split()[-1])


def streams(file: Path, address: str) -> list[bytes]:
    """What each TCP connection of an address carried, each direction by itself."""
    wanted = ipaddress.IPv4Address(address).packed
    flows: dict[bytes, dict[int, bytes]] = defaultdict(dict)
    content, at = file.read_bytes(), 0
    while at < len(content):
        (length,) = LENGTH.unpack_from(content, at)
        frame = content[at + LENGTH.size : at + LENGTH.size + length]
        at += LENGTH.size + length
        packet = frame[14:]
        if frame[12:14] != IPV4 or packet[9] != TCP or wanted not in (packet[12:16], packet[16:20]):
            continue
        header, total = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
        segment = packet[header : total or None]
        data = segment[(segment[12] >> 4) * 4 :]
        if data:
            number = int.from_bytes(segment[4:8], "big")
            known = flows[packet[12:20] + segment[:4]]
            known[number] = max(known.get(number, b""), data, key=len)
    return [_joined(segments) for segments in flows.values()]


def _joined(segments: dict[int, bytes]) -> bytes:
    """The bytes in order, without those that were sent twice."""
    whole, until = bytearray(), -1
    for number, data in sorted(segments.items()):
        whole += data[max(0, until - number) if until >= 0 else 0 :]
        until = max(until, number + len(data))
    return bytes(whole)


def main(file: Path) -> None:
    kinds = (socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    with socket.socket(*kinds) as wire, file.open("wb") as out:
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        wire.settimeout(0.5)
        os.set_blocking(0, False)
        print("listening", flush=True)
        while not _input_closed():
            try:
                frame, (device, *_) = wire.recvfrom(LONGEST)
            except TimeoutError:
                continue
            if device.startswith(TAP):
                out.write(LENGTH.pack(len(frame)) + frame)
        statistics = wire.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        print(struct.unpack("II", statistics)[1], flush=True)


def _input_closed() -> bool:
    try:
        return os.read(0, 1) == b""
    except BlockingIOError:
        return False


if __name__ == "__main__":
    main(Path(sys.argv[1]))
