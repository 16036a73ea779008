"""Read a server's console log: the markers of its stages and its ssh host keys. Pure.

The server prints these lines (see cloud-init/):
    STACKSERVE stage=<name> state=<begin|done|failed> t=<uptime s> [detail="..."]
    STACKSERVE-LOG stage=<name> <a line of the log of the step that failed>
    STACKSERVE-HOSTKEY <kind> <key>
    STACKSERVE-AUTHORITY sha256=<fingerprint of the certificate authority>
The packages, dependencies and code steps run in parallel, so their markers interleave.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from openstack_client.watch import stages

STAGES = stages.SERVER
MARKER = re.compile(
    r"STACKSERVE stage=(?P<stage>[a-z]+) state=(?P<state>begin|done|failed)"
    r"(?: t=(?P<t>\d+(?:\.\d+)?))?(?: detail=\"(?P<detail>(?:[^\"\\]|\\.)*)\")?"
)
LOG_LINE = re.compile(r"STACKSERVE-LOG stage=(?P<stage>[a-z]+) ?(?P<line>.*)")
OWN_KEY = re.compile(r"STACKSERVE-HOSTKEY ((?:ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/]+=*)")
AUTHORITY = re.compile(r"STACKSERVE-AUTHORITY sha256=([0-9a-f]{64})\b")
KEY_BLOCK = re.compile(
    r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL
)
KEY_LINE = re.compile(r"((?:ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/]+=*)")
# Nova removes the escape character from terminal codes but leaves the rest.
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\[(?:[0-9;?]+[mHKJh]|[HKJ])|\r")
# Prefixes of lines from the kernel, systemd and cloud-init.
PREFIX = re.compile(r"^(?:\[\s*\d+\.\d+\]\s*)?(?:cloud-init\[\d+\]:\s*)?(?:ci-info:\s*)?")
NOISE = re.compile(
    r"^$|^\[\s*OK\s*\]|^(?:Start|Stopp|Mount)ing |login:|^-+$|^\++[-+]*\+$|^\|.*\|$"
    r"|^\+[-+].*[-+]\+$|^ci-info|\bSSH HOST KEY|^<14>|^STACKSERVE|^clocksource:|^hrtimer:|^\+-+\["
)


@dataclass(frozen=True)
class Mark:
    """A stage marker; `uptime` is in seconds since the server booted."""

    stage: str
    state: str
    uptime: float = 0.0
    detail: str = ""


def clean(text: str) -> list[str]:
    """The lines without terminal codes and carriage returns."""
    return [ESCAPES.sub("", line).rstrip() for line in text.split("\n")]


def marks(text: str, known: Collection[str] = STAGES) -> list[Mark]:
    """All markers of known stages, in order."""
    found = []
    for line in clean(text):
        match = MARKER.search(line)
        if match and match["stage"] in known:
            detail = re.sub(r"\\(.)", r"\1", match["detail"] or "")
            found.append(Mark(match["stage"], match["state"], float(match["t"] or 0), detail))
    return found


def since_boot(found: Iterable[Mark]) -> list[Mark]:
    """The markers since the last boot."""
    last: list[Mark] = []
    for mark in found:
        if mark.stage == "booting" and mark.state == "begin":
            last = []
        last.append(mark)
    return last


def failed(found: Iterable[Mark]) -> Mark | None:
    """The failed step of the last boot, if any."""
    return next((mark for mark in since_boot(found) if mark.state == "failed"), None)


def is_ready(found: Iterable[Mark], last: str = STAGES[-1]) -> bool:
    """Whether the last stage is done since the last boot."""
    return any(mark.stage == last and mark.state == "done" for mark in since_boot(found))


def waits_for(found: Iterable[Mark], stage: str) -> bool:
    """Whether a stage has begun since the last boot, and nothing more."""
    states = [mark.state for mark in since_boot(found) if mark.stage == stage]
    return states == ["begin"]


def waiting_for(found: Iterable[Mark], known: Iterable[str] = STAGES) -> str:
    """The stages that are not done, as text."""
    last = since_boot(found)
    if not last:
        return "the console has not shown any stage yet"
    done = {mark.stage for mark in last if mark.state == "done"}
    open_stages = [stage for stage in known if stage not in done]
    if not open_stages:
        return "all stages are done on the server"
    begun = {mark.stage for mark in last if mark.state == "begin"}
    doing = [stage for stage in open_stages if stage in begun]
    now = f"{doing[-1]} in progress; " if doing else ""
    return f"{now}not done: {', '.join(open_stages)}"


def describe_setup(found: Iterable[Mark], known: Iterable[str] = STAGES) -> str:
    """The setup progress of a server that is not ready yet."""
    last = since_boot(found)
    mark = failed(last)
    if mark:
        return f"the step {mark.stage!r} failed" + (f": {mark.detail}" if mark.detail else "")
    code = [mark.state for mark in last if mark.stage == "code"]
    hint = "; waiting for its code (run `deploy` to send it)" if code == ["begin"] else ""
    return waiting_for(last, known) + hint


def last_line(text: str) -> str:
    """The last informative line."""
    for line in reversed(clean(text)):
        content = PREFIX.sub("", line).strip()
        if content and not NOISE.search(content) and not MARKER.search(content):
            return content[:200]
    return ""


def before_failure(text: str, stage: str = "", count: int = 15) -> str:
    """The failed step's log lines, or else the console's last lines."""
    lines = clean(text)
    sent = [
        match["line"]
        for line in lines
        if (match := LOG_LINE.search(line)) and match["stage"] == stage
    ]
    if sent:
        return "\n".join(sent[-count:])
    kept = [line for line in lines if line.strip() and not NOISE.search(line.strip())]
    return "\n".join(kept[-count:])


def host_keys(text: str) -> list[str]:
    """The server's public host keys, as printed on its last boot."""
    joined = "\n".join(clean(text))
    own = OWN_KEY.findall(joined)
    blocks = KEY_BLOCK.findall(joined)
    found = own or (KEY_LINE.findall(blocks[-1]) if blocks else [])
    by_kind = {key.split()[0]: key for key in found}
    return list(by_kind.values())


def authority(text: str) -> str:
    """The fingerprint of the server's certificate authority, as printed last; empty if none."""
    found = AUTHORITY.findall("\n".join(clean(text)))
    return found[-1] if found else ""


def known_hosts_lines(address: str, keys: Iterable[str]) -> str:
    """The host keys in known_hosts format."""
    return "".join(f"{address} {key}\n" for key in keys)
