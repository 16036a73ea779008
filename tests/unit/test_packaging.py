"""The parts of the packages that no other test covers."""

from __future__ import annotations

from pathlib import Path

import openstack_client
import production_server


def test_both_packages_have_the_same_version() -> None:
    # The packages never import each other, so each has its own version.
    assert openstack_client.__version__ == production_server.__version__


def test_only_one_module_locates_the_launchers_files() -> None:
    """A wheel has another layout. start_instance.py is exempt: it cannot import places.py yet."""
    package = Path(openstack_client.__file__).parent
    finders = {path.name for path in package.rglob("*.py") if "__file__" in path.read_text()}
    assert finders == {"places.py", "start_instance.py"}
