"""The metadata of the package that no other check covers."""

from __future__ import annotations

import openstack_client
import production_server


def test_both_packages_have_the_same_version() -> None:
    # They never import each other, so each states the version.
    assert openstack_client.__version__ == production_server.__version__
