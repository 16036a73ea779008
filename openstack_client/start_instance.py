#!/usr/bin/env python3
"""Deploy to the configured OpenStack cloud, or serve on this machine if there is none.

Same as `python3 -m openstack_client deploy`, but works from any folder and with any Python: if
packages are missing, it restarts itself through scripts/run, which installs them.
"""

import importlib.util
import os
import sys
from pathlib import Path

# Not imported from places.py: the package is not on the path yet.
ROOT = Path(__file__).resolve().parent.parent
SETUP_SCRIPT = ROOT / "scripts" / "run"
NEEDED = ("click", "rich", "pydantic", "jinja2", "tenacity", "openstack", "novaclient")


def main() -> None:
    """Run in this Python if it has all packages, or else in the project's own environment."""
    # Python puts this file's folder first on the path; its modules would shadow others.
    sys.path[:] = [path for path in sys.path if path != str(ROOT / "openstack_client")]
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    complete(sys.argv[1:])

    from openstack_client.cli.deploy import deploy

    deploy(prog_name="start_instance.py")


def complete(arguments: list[str]) -> None:
    """If packages are missing, restart through scripts/run, which only a checkout has."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not missing:
        return
    problem = f"is missing {', '.join(missing)}."
    if not SETUP_SCRIPT.is_file():
        raise SystemExit(f"{sys.executable} {problem} Install Stackserve with its dependencies.")
    if Path(sys.prefix).resolve() == (ROOT / ".venv").resolve():
        raise SystemExit(
            f"The environment {ROOT / '.venv'} {problem} Delete that folder and run {SETUP_SCRIPT}."
        )
    command = [sys.executable, str(SETUP_SCRIPT), *arguments]
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
