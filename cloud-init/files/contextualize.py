#!/usr/bin/env python3
"""Turn a bare VM into part of Stackserve: run the steps and report each one on the console.

Independent steps run in parallel. The first failure stops the others, and its last lines go to the
console at once, so that the launcher need not wait for a timeout:

    STACKSERVE stage=packages state=begin t=41.20
    STACKSERVE-LOG stage=packages E: Unable to locate package no-such-package
    STACKSERVE stage=packages state=failed t=44.71 detail="E: Unable to locate package ..."

Logs: /var/log/stackserve/<stage>.log. Until it succeeds, it runs again at the next boot. If the
machine was reset, what the last steps wrote may be incomplete: a step is skipped only if its stamp
is there, and its stamp is there only once everything it wrote is on the disk.
Standard library only, Python 3.10 or later: it runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from private import write

HERE = Path(__file__).resolve().parent
LOGS = Path("/var/log/stackserve")
DONE = Path("/etc/stackserve/contextualized")
# From the first attempt, once cloud-init's files are on the disk, until nothing is left to do.
BEGUN = Path("/etc/stackserve/begun")
# From bootcmd: an earlier boot did not complete the installation.
AGAIN = Path("/run/stackserve-again")
# Started by an earlier attempt, perhaps from incomplete files.
UNITS = ("stackserve-*.service", "rabbitmq-server.service")
CONSOLE = Path("/dev/console")
# Ubuntu 22.04's python3 is too old for the dependencies, but a newer one is in its packages.
PYTHON_IS_OLD = sys.version_info < (3, 11)
# Seconds that the launcher waits by default; the limits of the steps fit it.
DEFAULT_TIMEOUT = 1800
# A launcher that was interrupted may come back days later.
PATIENCE = 7 * 24 * 3600
LINES_SHOWN = 12
TIME_TO_READ = 20  # seconds until a machine that becomes an image switches off
LINE_LENGTH = 240
ERROR_LINE = re.compile(r"^(E:|error|fatal|.*\b(error|failed|cannot|unable to)\b)", re.IGNORECASE)


class Step(NamedTuple):
    stage: str
    program: str
    after: tuple[str, ...]
    limit: float  # seconds
    stamp: str = ""  # the step writes it with the suffix .new; see keep()
    needs_stamps: bool = False


class Running(NamedTuple):
    step: Step
    process: subprocess.Popen[bytes]
    until: float


def steps(declared: list[dict[str, Any]], ready_timeout: int) -> list[Step]:
    """The steps of this machine's role, as its role.toml declares them; see docs/roles.md."""
    # No step gives up on a slow cloud whose launcher was told to wait longer (--timeout-ready).
    slower = max(1.0, ready_timeout / DEFAULT_TIMEOUT)
    # A step that is limited by "ready" ends by itself, with the reason.
    limits = {"launcher": PATIENCE, "ready": ready_timeout + 60}
    plan = []
    for entry in declared:
        after = list(entry["after"])
        if PYTHON_IS_OLD:
            after += entry["after_on_old_python"]
        limit = limits.get(entry["limit"]) or entry["limit"] * slower
        program = Path(entry["program"]).name
        plan.append(
            Step(
                entry["stage"], program, tuple(after), limit, entry["stamp"], entry["needs_stamps"]
            )
        )
    return plan


def main() -> int:
    if DONE.exists():
        finish()
        return 0
    LOGS.mkdir(mode=0o750, exist_ok=True)
    BEGUN.parent.mkdir(exist_ok=True)
    environment = dict(os.environ, **read_settings(HERE / "settings.env"))
    environment["PYTHON_IS_OLD"] = "yes" if PYTHON_IS_OLD else ""
    declared = json.loads((HERE / "steps.json").read_text("utf-8"))
    plan = steps(declared, int(environment["READY_TIMEOUT"]))
    show_host_keys()
    started = time.monotonic()
    if was_cut_off():
        environment["CUT_OFF"] = "yes"
        stop_units()
    BEGUN.with_name(f"{BEGUN.name}.new").touch()
    begun = keep(str(BEGUN))
    failed = run(plan, environment)
    if failed:
        return 1
    wait_for(begun)
    if environment.get("SWITCH_OFF"):
        # Before the launcher takes the image, it must read on the console that cleaning is done.
        time.sleep(TIME_TO_READ)
        subprocess.run(["systemctl", "poweroff"], check=True)
        return 0
    write(DONE, f"{time.monotonic() - started:.1f} s\n", "root", mode=0o644)
    finish()
    return 0


def was_cut_off() -> bool:
    """Whether an earlier attempt did not complete, in an earlier boot or in this one."""
    return BEGUN.exists() or AGAIN.exists()


def stop_units() -> None:
    """Stop what the boot started. A later step starts each unit again, with no restarts counted."""
    for verb in ("stop", "reset-failed"):
        subprocess.run(["systemctl", verb, *UNITS], stderr=subprocess.DEVNULL, check=False)


def finish() -> None:
    """Do what no service waits for; see host.sh. After a reset, the next boot repeats it."""
    script = f"update-ca-certificates && sync && rm -f {BEGUN}"
    subprocess.run(["systemd-run", "--quiet", "--nice=19", "sh", "-c", script], check=True)


def keep(stamp: str) -> list[subprocess.Popen[bytes]]:
    """Put a stamp in place in the background, once everything written so far is on the disk."""
    if not stamp or not Path(f"{stamp}.new").exists():
        return []
    return [subprocess.Popen(["sh", "-c", 'sync && mv "$1.new" "$1"', "keep", stamp])]


def wait_for(keeping: list[subprocess.Popen[bytes]]) -> None:
    for process in keeping:
        process.wait()


def read_settings(path: Path) -> dict[str, str]:
    lines = path.read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def run(plan: list[Step], environment: dict[str, str]) -> bool:
    """Run all steps in order. True if one failed; the others are stopped then."""
    waiting = list(plan)
    running: list[Running] = []
    done: set[str] = set()
    keeping: list[subprocess.Popen[bytes]] = []
    while waiting or running:
        for step in [step for step in waiting if done.issuperset(step.after)]:
            waiting.remove(step)
            if step.needs_stamps:
                wait_for(keeping)
            running.append(start(step, environment))
        time.sleep(0.1)
        for one in list(running):
            code = one.process.poll()
            if code == 0:
                running.remove(one)
                done.add(one.step.stage)
                mark(one.step.stage, "done")
                keeping += keep(one.step.stamp)
            elif code is not None or time.monotonic() > one.until:
                running.remove(one)
                stop([one, *running])
                report_failure(one.step, code)
                return True
    wait_for(keeping)
    return False


def start(step: Step, environment: dict[str, str]) -> Running:
    if step.stage != "booting":  # bootcmd has reported that one
        mark(step.stage, "begin")
    with (LOGS / f"{step.stage}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(HERE / step.program)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Running(step, process, time.monotonic() + step.limit)


def stop(running: list[Running]) -> None:
    for one in running:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGTERM)
    for one in running:
        try:
            one.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


def report_failure(step: Step, code: int | None) -> None:
    log = (LOGS / f"{step.stage}.log").read_text("utf-8", "replace")
    lines = [printable(line) for line in log.splitlines() if line.strip()]
    if code is None:
        lines.append(f"{step.program} took more than {step.limit:g} seconds and was stopped")
    for line in lines[-LINES_SHOWN:]:
        say(f"STACKSERVE-LOG stage={step.stage} {line}")
    errors = [line for line in lines[-LINES_SHOWN:] if ERROR_LINE.search(line)]
    last = (errors or lines or [f"{step.program} exited with code {code} and no output"])[-1]
    mark(step.stage, "failed", last)


def printable(line: str) -> str:
    return re.sub(r"[^\x20-\x7e]+", " ", line).strip()[:LINE_LENGTH]


def mark(stage: str, state: str, detail: str = "") -> None:
    uptime = Path("/proc/uptime").read_text().split()[0]
    text = f"STACKSERVE stage={stage} state={state} t={uptime}"
    say(text + (' detail="{}"'.format(detail.replace('"', "'")) if detail else ""))


def show_host_keys() -> None:
    """Let the launcher verify this VM at its first ssh connection."""
    for path in sorted(Path("/etc/ssh").glob("ssh_host_*_key.pub")):
        kind, key = path.read_text().split()[:2]
        say(f"STACKSERVE-HOSTKEY {kind} {key}")


def say(line: str) -> None:
    # Start a new line, even after a login prompt.
    with CONSOLE.open("w", encoding="ascii", errors="replace") as console:
        console.write(f"\n{line}\n")
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
