"""The command line of the lab. Only this module prints errors and sets exit codes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from openstack_lab import lock, settings, status
from openstack_lab.errors import LabError, NotRunningError, RefusedError
from openstack_lab.lab import find
from openstack_lab.layout import REQUIREMENTS, Layout
from openstack_lab.progress import Progress

DESCRIPTION = """A real OpenStack on this machine.

  sudo scripts/lab up                     with real guests; the first start takes minutes
  sudo scripts/lab up --hypervisor fake   without guests; everything else is real
  source /var/lib/stackserve-lab/demo-openrc.sh
  sudo scripts/lab down
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="scripts/lab",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--folder", help=f"folder of the lab ({settings.DEFAULT_FOLDER}; STACKSERVE_LAB)"
    )
    common.add_argument(
        "--cache",
        help="environment and guest image (FOLDER/cache; STACKSERVE_LAB_CACHE)",
    )
    common.add_argument(
        "--network",
        help=f"network of the lab ({settings.DEFAULT_NETWORK}; STACKSERVE_LAB_NETWORK)",
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, parents=[common], help=text, description=text)

    up = verb("up", "Start the lab, or repair a running one.")
    up.add_argument(
        "--hypervisor",
        choices=[str(kind) for kind in settings.Hypervisor],
        help="qemu: real guests (default for a new lab); fake: no guests; both: one of each kind",
    )
    up.add_argument(
        "--accelerator",
        choices=("auto", "tcg"),
        default="auto",
        help="tcg: emulate guests even if KVM works",
    )
    # The start time of the first interpreter, for progress messages.
    up.add_argument("--since", type=float, help=argparse.SUPPRESS)
    # The descriptor of the lock that the first interpreter acquired.
    up.add_argument("--lock", type=int, help=argparse.SUPPRESS)
    down = verb("down", "Stop the lab and keep its files.")
    down.add_argument("--purge", action="store_true", help="delete the files too")
    report = verb("status", "Show each service and its health.")
    report.add_argument("--json", action="store_true", help="print JSON")
    logs = verb("logs", "Show a service's log.")
    logs.add_argument("name", nargs="?", help="name of a service; without it, list the logs")
    logs.add_argument("--lines", type=int, default=100, help="how many lines to show (100)")
    logs.add_argument("--follow", "-f", action="store_true", help="keep printing new lines")
    console = verb("console", "Show a server's console from its start.")
    console.add_argument("server", help="name or id")
    console.add_argument("--follow", "-f", action="store_true", help="keep printing new lines")
    restart = verb("restart", "Restart one service.")
    restart.add_argument("name", help="name of a service, from `status`")
    inside = verb("exec", "Run a command inside the lab's namespaces.")
    inside.add_argument("command", nargs=argparse.REMAINDER, help="the command (default: bash)")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 success, 1 a failure or refusal, 2 wrong usage, 3 the lab is not running."""
    given = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(given)
    try:
        if os.geteuid() != 0:
            raise RefusedError(
                "The lab needs root to create namespaces and bridges.", "Run it with sudo."
            )
        layout = find(options.folder, options.cache, options.network)
        code = int(VERBS[options.verb](layout, options, given) or 0)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever reads the output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except NotRunningError as error:
        return _explain(error, 3)
    except LabError as error:
        return _explain(error, 1)
    except KeyboardInterrupt:
        print(f"\nInterrupted. To continue: scripts/lab {options.verb}", file=sys.stderr)
        return 130


def _explain(error: LabError, code: int) -> int:
    print(f"scripts/lab: {error.problem}", file=sys.stderr)
    if error.remedy:
        print(error.remedy, file=sys.stderr)
    return code


def _up(layout: Layout, options: argparse.Namespace, given: list[str]) -> int:
    from openstack_lab import up

    progress = Progress(options.since) if options.since else Progress()
    wanted = settings.Hypervisor(options.hypervisor) if options.hypervisor else None
    request = up.Request(layout, wanted, options.accelerator)
    if options.lock is None or not lock.inherit(options.lock, layout.lock):
        up.check_machine(request)
        held = lock.acquire(layout.lock, "scripts/lab up", progress.say)
        up.check_machine(request)  # again, because we may have waited
        up.install(request, progress, held)
        _continue_in_environment(layout, progress, given, held)
    try:
        lab = up.run(request, progress)
    finally:
        lock.release(options.lock)
    print(up.how_to_use(lab, progress.elapsed))
    return 0


def _continue_in_environment(
    layout: Layout, progress: Progress, given: list[str], held: int
) -> NoReturn:
    """Create the OpenStack environment if it is missing, and become its interpreter."""
    from environment import ensure

    if not layout.python.exists():
        progress.say("Environment for OpenStack ...")
    with lock.hold(layout.settings.cache / ".lock", "scripts/lab up", progress.say):
        python = ensure(REQUIREMENTS, layout.venv)
    script = Path(__file__).resolve().parent.parent / "lab"
    os.set_inheritable(held, True)
    handed_on = [f"--since={progress.started}", f"--lock={held}"]
    os.execv(python, [str(python), str(script), *given, *handed_on])


def _down(layout: Layout, options: argparse.Namespace, _given: list[str]) -> None:
    from openstack_lab import down

    if not layout.folder.exists():
        print(f"There is no lab in {layout.folder}.")
        return
    progress = Progress()
    with lock.hold(layout.lock, "scripts/lab down", progress.say):
        down.run(layout, progress, purge=options.purge)
    progress.say("The lab is stopped.")


def _status(layout: Layout, options: argparse.Namespace, _given: list[str]) -> int:
    report = status.gather(layout)
    print(json.dumps(report, indent=1) if options.json else status.table(report))
    if not report["running"]:
        return 3
    return 0 if report["healthy"] else 1


def _logs(layout: Layout, options: argparse.Namespace, _given: list[str]) -> None:
    names = sorted(path.stem for path in layout.logs.glob("*.log"))
    if not names:
        raise NotRunningError(
            f"There is no lab in {layout.folder}.", "Start one: sudo scripts/lab up"
        )
    if not options.name:
        print("\n".join(names))
        return
    if options.name not in names:
        raise LabError(f"There is no log '{options.name}'.", f"Logs: {', '.join(names)}")
    _show_file(layout.logs / f"{options.name}.log", options.lines, options.follow)


def _show_file(path: Path, lines: int, follow: bool) -> None:
    os.execvp(
        "tail", ["tail", f"--lines={lines}", *(["--follow=name"] if follow else []), str(path)]
    )


def _console(layout: Layout, options: argparse.Namespace, given: list[str]) -> None:
    if Path(sys.prefix).resolve() != layout.venv.resolve():
        if not layout.python.exists():
            raise NotRunningError("There is no lab.", "Start one: sudo scripts/lab up")
        script = Path(__file__).resolve().parent.parent / "lab"
        os.execv(layout.python, [str(layout.python), str(script), *given])
    from openstack_lab import console

    _show_file(console.log_of(layout, options.server), 100000, options.follow)


def _restart(layout: Layout, options: argparse.Namespace, _given: list[str]) -> None:
    from openstack_lab import control

    names = [unit["name"] for unit in control.ask(layout.control, "status")]
    if options.name not in names:
        raise LabError(f"There is no service '{options.name}'.", f"Services: {', '.join(names)}")
    control.ask(layout.control, "restart", name=options.name)


def _exec(layout: Layout, options: argparse.Namespace, _given: list[str]) -> None:
    from openstack_lab import namespace

    command = namespace.enter(layout, options.command or ["bash"])
    os.execvp(command[0], command)


VERBS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "logs": _logs,
    "console": _console,
    "restart": _restart,
    "exec": _exec,
}
