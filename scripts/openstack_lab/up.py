"""`scripts/lab up`: brings the lab from any state to a running cloud with networks and images."""

from __future__ import annotations

import sysconfig
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from openstack_lab import (
    control,
    credentials,
    mirrors,
    nameservers,
    namespace,
    packages,
    preflight,
    render,
    uplink,
)
from openstack_lab.errors import BrokenServiceError
from openstack_lab.guest import kvm, recipe
from openstack_lab.guest.build import Guest, ensure_guest
from openstack_lab.lab import Choices, Lab, load_choices, load_secrets, save_choices, write_private
from openstack_lab.layout import Layout
from openstack_lab.populate import populate
from openstack_lab.progress import Progress
from openstack_lab.services import control_plane, declare
from openstack_lab.settings import Hypervisor
from openstack_lab.unit import Unit, to_json

# After this many restarts of one daemon, `up` gives up.
TOO_MANY_RESTARTS = 6


@dataclass(frozen=True)
class Request:
    """The command-line options of `up`."""

    layout: Layout
    hypervisor: Hypervisor | None
    accelerator: str = "auto"


def check_machine(request: Request) -> None:
    """Refuse before anything is changed. Needs only the standard library."""
    layout = request.layout
    running = bool(namespace.process_one(layout))
    wanted = request.hypervisor or Hypervisor.QEMU
    facts = preflight.gather(layout.folder)
    preflight.refuse(preflight.refusals(facts, real=wanted.real, fresh=not running))
    namespace.refuse_other(layout)
    if not running:
        uplink.refuse_overlap(layout.settings)


def install(request: Request, progress: Progress, lock: int) -> None:
    """Install the system packages that are missing."""
    packages.remove_stale_policy()
    headers = Path(sysconfig.get_paths()["include"])
    wanted = packages.missing(headers)
    if wanted:
        request.layout.logs.mkdir(parents=True, exist_ok=True)
        with progress.step(f"System packages ({len(wanted)} missing)"):
            packages.install(wanted, request.layout.logs / "packages.log", lock)


def run(request: Request, progress: Progress) -> Lab:
    """Start or repair the lab, once packages and environment are installed."""
    layout = request.layout
    for folder in (layout.logs, layout.state, layout.images):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (layout.logs, layout.run):
        folder.chmod(0o700)
    saved = load_choices(layout)
    choices = Choices(
        request.hypervisor or (saved.hypervisor if saved else Hypervisor.QEMU),
        str(layout.settings.network),
        str(layout.settings.cache),
    )
    save_choices(layout, choices)  # so that the next `up` continues an interrupted one
    lab = Lab(layout, load_secrets(layout), choices, nameservers.find())
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="guest") as pool:
        guest: Future[Guest] | None = None
        if choices.hypervisor.real:
            guest = pool.submit(ensure_guest, layout, recipe.of_host(), progress)
            hardware = kvm.known(layout) if request.accelerator == "auto" else False
            if hardware is None:
                # The test of KVM needs the guest's kernel. Start the control plane meanwhile.
                _apply(lab, control_plane)
                hardware = kvm.probe(guest.result(), layout)
            lab = replace(lab, kvm=hardware)
        with progress.step("Services"):
            _apply(lab, declare)
            _wait_for_units(layout, progress)
        populate(lab, guest, progress)
    return lab


def _apply(lab: Lab, declaration: Callable[[Lab], list[Unit]]) -> None:
    """Start the supervisor, or send a running one these units."""
    layout = lab.layout
    # After rendering, because units contain fingerprints of their config files.
    render.render_all(lab)
    write_private(layout.units, to_json(declaration(lab)))
    if namespace.process_one(layout):
        namespace.wait_until_it_answers(layout)
        for name in hung(control.ask(layout.control, "apply", timeout=300)):
            control.ask(layout.control, "restart", name=name)
    else:
        namespace.start(layout)
    uplink.connect(layout, namespace.process_one(layout))
    credentials.write_all(lab)
    mirrors.write(lab)
    credentials.give_to_user(layout.folder)


def hung(units: list[dict[str, Any]]) -> list[str]:
    """Daemons that run but do not answer. They need a restart."""
    return [
        unit["name"]
        for unit in units
        if unit["state"] == "failed" and unit["pid"] and not unit["task"]
    ]


def _wait_for_units(layout: Layout, progress: Progress) -> None:
    """Report each unit that becomes ready. Give up if one keeps failing."""
    seen: set[str] = set()
    while True:
        units = control.ask(layout.control, "status")
        for unit in units:
            if unit["state"] in ("ready", "done") and unit["name"] not in seen:
                seen.add(unit["name"])
                if unit["seconds"] < progress.elapsed:
                    progress.say(f"  {unit['title']}")
        if len(seen) == len(units):
            return
        for unit in units:
            if unit["state"] == "failed" or unit["restarts"] >= TOO_MANY_RESTARTS:
                raise BrokenServiceError(
                    f"{unit['title']} did not start: {unit['reason']}.\n" + tail(Path(unit["log"])),
                    f"Read the log: scripts/lab logs {unit['name']}. Then run `up` again.",
                )
        time.sleep(0.2)


def tail(path: Path, lines: int = 15) -> str:
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def how_to_use(lab: Lab, elapsed: float) -> str:
    """What `up` prints at the end."""
    folder = lab.layout.folder
    lines = [
        f"The lab is up after {time.strftime('%M:%S', time.gmtime(elapsed))} min; "
        f"hypervisor: {lab.choices.hypervisor}"
        + (", guests emulated (TCG)." if lab.choices.hypervisor.real and not lab.kvm else "."),
        "",
        "  To use it as an ordinary user:",
        f"    source {folder}/demo-openrc.sh",
        f"  or  export OS_CLIENT_CONFIG_FILE={folder}/clouds.yaml OS_CLOUD=lab",
    ]
    if lab.choices.hypervisor is Hypervisor.BOTH:
        lines.append(
            f"  for servers without a guest: {folder}/demo-fake-openrc.sh, or OS_CLOUD=lab-fake"
        )
    lines += [
        f"  Command line: {lab.layout.bin('openstack')} server list",
        f"  Mirrors and proxies for servers: {folder}/{mirrors.FILE}",
        "  Next: scripts/lab status | logs NAME | console SERVER | down",
    ]
    return "\n".join(lines)
