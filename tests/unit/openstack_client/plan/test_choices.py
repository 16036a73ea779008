"""Default choices, and the problems reported when there is none."""

from __future__ import annotations

import pytest

from openstack_client.cloud.resources import Facts, Flavor, Image, Network, Router
from openstack_client.plan import choices

DEBIAN = Image("d", "Debian 12 genericcloud", distro="debian", version="12", created="2026-01-01")
UBUNTU = Image("u", "Ubuntu 24.04", created="2026-03-01")
SMALL = Flavor("1", "small", 1, 2048, 10)
LARGE = Flavor("2", "large", 4, 8192, 40)
TINY = Flavor("0", "tiny", 1, 512, 1)
PRIVATE = Network("n1", "private", subnets=("s1",))
PUBLIC = Network("x1", "public", external=True, mine=False, subnets=("s9",))
ROUTER = Router("r1", "router", "x1", ("s1",))


@pytest.mark.parametrize(
    ("image", "system"),
    [
        (DEBIAN, ("debian", "12")),
        (UBUNTU, ("ubuntu", "24.04")),
        (Image("1", "ubuntu-jammy-server-cloudimg"), ("ubuntu", "22.04")),
        (Image("1", "noble", distro="ubuntu"), ("ubuntu", "24.04")),
        (Image("1", "debian-12.8-20260101"), ("debian", "12")),
        (Image("1", "x", distro="debian", version="12.11"), ("debian", "12")),
        (Image("1", "Debian bookworm"), ("debian", "12")),
        (Image("1", "CentOS Stream 9", distro="centos"), ("centos", "9")),
        (Image("1", "cirros-0.6"), ("", "0")),
    ],
)
def test_the_system_of_an_image(image: Image, system: tuple[str, str]) -> None:
    assert choices.system_of(image)[0] == system[0]
    if system[0] in choices.SUPPORTED:
        assert choices.system_of(image) == system


def test_the_newest_supported_image_is_chosen() -> None:
    others = (
        Image("c", "CentOS 9", created="2026-09-01"),
        Image("o", "Ubuntu 20.04", created="2026-08-01"),
        Image("q", "Debian 12 new", status="queued", created="2026-08-01"),
    )
    choice = choices.image(None, Facts(images=(DEBIAN, UBUNTU, *others)))
    assert choice.value is UBUNTU


def test_no_supported_image() -> None:
    choice = choices.image(None, Facts(images=(Image("c", "cirros"),)))
    assert "no active Debian 12/13 or Ubuntu" in choice.problems[0].what
    assert "cirros" in choice.problems[0].remedy


def test_a_named_image_that_is_not_active() -> None:
    choice = choices.image("x", Facts(images=(Image("x", "x", status="saving"),)))
    assert "saving, not active" in choice.problems[0].what


def test_a_named_image_of_an_unsupported_system_is_a_warning() -> None:
    choice = choices.image("cirros", Facts(images=(Image("c", "cirros"),)))
    assert choice.value and not choice.problems and "does not look like" in choice.warnings[0]


def test_the_ssh_user() -> None:
    assert choices.ssh_user(DEBIAN) == "debian"
    assert choices.ssh_user(UBUNTU) == "ubuntu"
    assert choices.ssh_user(Image("1", "x", default_user="cloud")) == "cloud"


def test_the_smallest_flavor_that_fits() -> None:
    choice = choices.flavor(None, Facts(flavors=(LARGE, TINY, SMALL)), DEBIAN, None)
    assert choice.value is SMALL


def test_the_image_decides_what_fits() -> None:
    heavy = Image("d", "Debian 12", min_ram_mb=4096, min_disk_gb=20)
    assert choices.flavor(None, Facts(flavors=(SMALL, LARGE)), heavy, None).value is LARGE


def test_with_a_volume_the_flavors_disk_does_not_matter() -> None:
    diskless = Flavor("3", "diskless", 1, 2048, 0)
    facts = Facts(flavors=(diskless, LARGE))
    assert choices.flavor(None, facts, DEBIAN, None).value is LARGE
    assert choices.flavor(None, facts, DEBIAN, 20).value is diskless


def test_no_flavor_fits() -> None:
    choice = choices.flavor(None, Facts(flavors=(TINY,)), DEBIAN, None)
    assert "tiny (512 MB, 1 GB)" in choice.problems[0].what
    assert "--volume-size" in choice.problems[0].remedy


def test_a_named_flavor_too_small_for_the_image() -> None:
    image = Image("d", "Debian 12", min_disk_gb=20, min_ram_mb=4096)
    problems = choices.flavor("small", Facts(flavors=(SMALL,)), image, None).problems
    assert [str(problem) for problem in problems] == [
        "flavor: 'small' has 2048 MB of memory; image 'Debian 12' needs 4096.",
        "flavor: 'small' has 10 GB of disk; image 'Debian 12' needs 20. "
        "Use a larger flavor or --volume-size.",
    ]


def test_a_small_named_flavor_is_a_warning() -> None:
    choice = choices.flavor("tiny", Facts(flavors=(TINY,)), DEBIAN, None)
    assert not choice.problems and len(choice.warnings) == 2


def test_the_only_network() -> None:
    assert choices.network(None, Facts(networks=(PRIVATE, PUBLIC))).value is PRIVATE


def test_the_projects_own_network_is_preferred_to_shared_ones() -> None:
    shared = Network("n2", "shared", shared=True, mine=False, subnets=("s2",))
    assert choices.network(None, Facts(networks=(shared, PRIVATE))).value is PRIVATE
    assert choices.network(None, Facts(networks=(shared, PUBLIC))).value is shared


def test_several_networks_need_a_choice() -> None:
    other = Network("n2", "other", subnets=("s2",))
    problem = choices.network(None, Facts(networks=(PRIVATE, other))).problems[0]
    assert str(problem) == (
        "network: the project has 2: other, private. Choose one with --network."
    )


def test_no_network() -> None:
    empty = Network("n2", "empty")
    assert (
        "no network with a subnet"
        in choices.network(None, Facts(networks=(empty,))).problems[0].what
    )
    assert "has no subnet" in choices.network("empty", Facts(networks=(empty,))).problems[0].what


def test_the_external_network_connected_by_the_router() -> None:
    other = Network("x2", "public2", external=True)
    facts = Facts(networks=(PRIVATE, PUBLIC, other), routers=(ROUTER,))
    assert choices.external_network(None, "auto", facts, PRIVATE).value is PUBLIC


def test_a_network_without_router() -> None:
    facts = Facts(networks=(PRIVATE, PUBLIC))
    problem = choices.external_network(None, "auto", facts, PRIVATE).problems[0]
    assert "network 'private' has no router" in problem.what
    assert "openstack router add subnet outside s1" in problem.remedy


def test_a_router_connected_elsewhere() -> None:
    facts = Facts(networks=(PRIVATE, PUBLIC), routers=(Router("r", "inner", None, ("s1",)),))
    problem = choices.external_network(None, "auto", facts, PRIVATE).problems[0]
    assert "router 'inner' of network 'private' is not connected to 'public'" in problem.what
    assert problem.remedy == "openstack router set --external-gateway public inner"


def test_a_shared_networks_router_cannot_be_checked() -> None:
    shared = Network("n2", "shared", shared=True, mine=False, subnets=("s2",))
    choice = choices.external_network(None, "auto", Facts(networks=(shared, PUBLIC)), shared)
    assert choice.value is PUBLIC and not choice.problems and choice.warnings


def test_no_external_network() -> None:
    problem = choices.external_network(None, "auto", Facts(networks=(PRIVATE,)), PRIVATE).problems[
        0
    ]
    assert "--floating-ip none" in problem.remedy


def test_no_floating_ip_needs_no_external_network() -> None:
    choice = choices.external_network(None, "none", Facts(networks=(PRIVATE,)), PRIVATE)
    assert choice.value is None and not choice.problems


def test_several_external_networks() -> None:
    other = Network("x2", "public2", external=True)
    facts = Facts(networks=(PRIVATE, PUBLIC, other))
    problem = choices.external_network(None, "auto", facts, PRIVATE).problems[0]
    assert "public, public2" in problem.what


def test_zones() -> None:
    facts = Facts(zones=("nova", "south"))
    assert choices.zone(None, facts).value is None
    assert choices.zone("south", facts).value == "south"
    assert "Did you mean 'south'?" in choices.zone("sout", facts).problems[0].remedy
    assert choices.zone("any", Facts(zones=None)).value == "any"
