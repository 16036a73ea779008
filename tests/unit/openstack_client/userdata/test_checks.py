"""The built-in checks of size and structure catch what cloud-init would silently ignore."""

from __future__ import annotations

import pytest

from openstack_client.errors import PreflightError
from openstack_client.userdata import NOVA_LIMIT, check_cloud_config, render
from openstack_client.userdata.checks import check_size, cloud_config_problems
from tests.unit.openstack_client.userdata.contexts import context

TEXT = render(context()).text
BROKEN = {
    "a wrong first line": ("#cloud-config\n", "# cloud-config\n", "first line"),
    "an unknown key": ("write_files:", "write_file:", "write_file"),
    "a deprecated key": ("package_update:", "apt_update:", "apt_update"),
    "an upgrade": ("package_upgrade: false", "package_upgrade: true", "package_upgrade"),
    "permissions as a number": ('permissions: "0755"', "permissions: 0755", "permissions"),
    "a relative path": ("path: /etc/", "path: etc/", "path"),
    "a duplicate file": (
        "/etc/systemd/system/stackserve-web.service",
        "/etc/systemd/system/stackserve-recorder.service",
        "written twice",
    ),
    "bad YAML": ("write_files:", "write_files: [", "YAML"),
    "an empty command": ("runcmd:\n", "runcmd:\n  - []\n", "runcmd"),
}


def test_our_templates_pass() -> None:
    assert cloud_config_problems(TEXT) == []


@pytest.mark.parametrize(("old", "new", "words"), BROKEN.values(), ids=BROKEN)
def test_invalid_config_is_refused(old: str, new: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(PreflightError, match=words):
        check_cloud_config(TEXT.replace(old, new))


def test_too_large_lists_the_size_of_each_part() -> None:
    check_size(bytes(NOVA_LIMIT), {})
    with pytest.raises(PreflightError, match=r"49,150 bytes.*49,149") as caught:
        check_size(bytes(NOVA_LIMIT + 1), {"certificates": 40_000})
    assert "certificates: 40,000 bytes" in str(caught.value)
