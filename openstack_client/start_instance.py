#!/usr/bin/env python3
"""Deploy to the sourced OpenStack cloud, or without one serve on this machine.

The same as `python3 -m openstack_client deploy`, from any folder and with any Python: when
the project's packages are missing, it goes through scripts/run, which installs them.
"""

import importlib.util
import os
import sys
from pathlib import Path

# Not from places.py: until this folder is on the path, nothing of the package can be imported.
ROOT = Path(__file__).resolve().parent.parent
SETS_UP = ROOT / "scripts" / "run"
NEEDED = ("click", "rich", "pydantic", "jinja2", "tenacity", "openstack", "novaclient")


def main() -> None:
    """Run here if all packages are there, else in the project's own environment."""
    # Python puts this file's folder first, where its modules would hide others of that name.
    sys.path[:] = [path for path in sys.path if path != str(ROOT / "openstack_client")]
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        set_up(missing)

    from openstack_client.cli.deploy import deploy

    deploy(prog_name="start_instance.py")


def set_up(missing: list[str]) -> None:
    """Start again through scripts/run, which only a checkout has."""
    lacks = f"lacks {', '.join(missing)}."
    if not SETS_UP.is_file():
        raise SystemExit(f"{sys.executable} {lacks} Install Stackserve with its dependencies.")
    if Path(sys.prefix).resolve() == (ROOT / ".venv").resolve():
        raise SystemExit(
            f"The environment {ROOT / '.venv'} {lacks} Delete that folder and run {SETS_UP}."
        )
    command = [sys.executable, str(SETS_UP), *sys.argv[1:]]
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
