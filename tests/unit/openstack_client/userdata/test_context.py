"""Invalid contexts and their error messages."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.unit.openstack_client.userdata.contexts import context

REFUSED = {
    "an invalid host name": ({"name": "my server"}, "name"),
    "no code": ({"code": ()}, "code"),
    "port 0": ({"port": 0}, "port"),
    "no workers": ({"workers": 0}, "workers"),
    "a mirror that is not a URL": ({"apt_mirror": "mirror.example"}, "http://"),
    "a mirror with a password": ({"pip_index_url": "https://me:pw@pypi.example/simple"}, "passw"),
    "a proxy with a password": ({"https_proxy": "http://me:pw@proxy.example:3128"}, "password"),
    "a setting with a password": (
        {"settings": [["STACKSERVE_STORE_URL", "postgresql://me:pw@db.example/jobs"]]},
        "password",
    ),
    "a line break in a setting": ({"settings": [["STACKSERVE_X", "a\nB=c"]]}, "blanks"),
    "a foreign setting": ({"settings": [["PATH", "/tmp"]]}, "settings"),
    "a package name with an option": ({"extra_packages": ["--purge"]}, "extra_packages"),
    "no certificate": ({"ca_bundle": "hello"}, "PEM"),
    "an incomplete certificate": ({"ca_bundle": "-----BEGIN CERTIFICATE-----\nTUlJ"}, "PEM"),
    "a private key among certificates": (
        {
            "ca_bundle": "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
            "-----BEGIN PRIVATE KEY-----"
        },
        "private key",
    ),
    "a private ssh key": ({"ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}, "public key"),
    "a path outside its folder": (
        {"code": [{"path": "../etc/passwd", "content": b""}]},
        "code",
    ),
    "a typo": ({"wrokers": 2}, "wrokers"),
}


@pytest.mark.parametrize(("values", "words"), REFUSED.values(), ids=REFUSED)
def test_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        context(**values)


def test_a_context_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(context(), "port", 1)  # noqa: B010 - mypy refuses the plain form, as it should
