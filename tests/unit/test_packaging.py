"""The metadata of the package that no other check covers."""

from __future__ import annotations

from pathlib import Path

import openstack_client
import production_server


def test_both_packages_have_the_same_version() -> None:
    # They never import each other, so each states the version.
    assert openstack_client.__version__ == production_server.__version__


def test_one_module_knows_where_the_launcher_is() -> None:
    """A wheel has another layout; start_instance.py runs before it can import places.py."""
    room = Path(openstack_client.__file__).parent
    finders = {path.name for path in room.rglob("*.py") if "__file__" in path.read_text()}
    assert finders == {"places.py", "start_instance.py"}
