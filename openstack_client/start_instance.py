#!/usr/bin/env python3
"""Deploy to the sourced OpenStack cloud, or without one serve on this machine.

The same as `python3 -m openstack_client deploy`, from any folder and with any Python: when
the project's packages are missing, it goes through scripts/run, which installs them.
"""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("click", "rich", "pydantic", "jinja2", "tenacity", "openstack", "novaclient")


def main() -> None:
    """Run here if all packages are there, else in the project's own environment."""
    # Python puts this file's folder first, where its modules would hide others of that name.
    sys.path[:] = [
        str(ROOT),
        *(path for path in sys.path if path != str(ROOT / "openstack_client")),
    ]
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        if Path(sys.prefix).resolve() == (ROOT / ".venv").resolve():
            raise SystemExit(
                f"The environment {ROOT / '.venv'} lacks {', '.join(missing)}. "
                f"Delete that folder and run {ROOT / 'scripts' / 'run'}."
            )
        command = [sys.executable, str(ROOT / "scripts" / "run"), *sys.argv[1:]]
        os.execv(command[0], command)

    from openstack_client.cli.deploy import deploy

    deploy(prog_name="start_instance.py")


if __name__ == "__main__":
    main()
