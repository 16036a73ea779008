"""--image-tag: which roles take it, and what the server gets of it."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from openstack_client.errors import SettingsError
from openstack_client.places import TEMPLATES
from openstack_client.plan.make import deployed_role, parcel
from openstack_client.plan.model import Parcel
from openstack_client.settings import Settings

TAG = "registry.example.org:5000/course/clinic:3"
IMAGES = TEMPLATES / "roles" / "docker" / "steps" / "images.sh"


def settings(**values: Any) -> Settings:
    return Settings.model_validate({"name": "demo", "role": "docker", **values})


def test_the_server_is_told_what_to_pull() -> None:
    asked = settings(image_tag=TAG)
    made = parcel(asked, deployed_role(asked))
    assert isinstance(made, Parcel)
    assert f"IMAGE_TAG={TAG}\n" in gzip.decompress(made.data).decode()


def test_only_a_role_with_containers_takes_it() -> None:
    with pytest.raises(SettingsError, match="the role server runs no containers"):
        deployed_role(settings(role="server", image_tag=TAG))


def test_the_model_is_that_of_the_image(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the image has its model"):
        deployed_role(settings(image_tag=TAG, model=tmp_path))


@pytest.mark.parametrize(
    "wrong",
    ["clinic@sha256:abc", "https://registry.example.org/clinic", "a b", "-v", "Clinic/", ""],
)
def test_what_names_no_two_images_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="must be NAME, NAME:TAG or REGISTRY/NAME:TAG"):
        settings(image_tag=wrong)


@pytest.mark.parametrize(
    ("tag", "broker"),
    [
        (TAG, "registry.example.org:5000/course/clinic-broker:3"),
        ("registry.example.org:5000/clinic", "registry.example.org:5000/clinic-broker"),
        ("clinic:latest", "clinic-broker:latest"),
        ("clinic", "clinic-broker"),
    ],
)
def test_the_name_of_the_broker_follows(tag: str, broker: str) -> None:
    """Runs the step's own lines."""
    text = IMAGES.read_text()
    lines = text[text.index("    case ${IMAGE_TAG##") : text.index("    docker pull")]
    done = subprocess.run(
        ["sh", "-euc", f'{lines}\necho "$broker"'],
        env={"IMAGE_TAG": tag},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == broker
