"""The manifests match the schemas of Kubernetes, and give each pod as few rights as it needs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "production_server" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
FILES = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
# It needs more than a plain cluster has.
ON_DEMAND = {"autoscaler.yaml"}
Document = dict[str, Any]


def newest(count: int) -> list[str]:
    """The newest versions of Kubernetes whose schemas are there."""
    known = kubernetes_validate.utils.all_versions()
    found = {tuple(int(part) for part in one.split("-")[0].split(".")[:2]) for one in known}
    return [f"{major}.{minor}" for major, minor in sorted(found)[-count:]]


def documents(*paths: Path) -> list[Document]:
    return [one for path in paths for one in yaml.safe_load_all(path.read_text())]


EVERYTHING = documents(*FILES)
PODS = {
    one["metadata"]["name"]: one["spec"]["template"]["spec"]
    for one in EVERYTHING
    if "template" in one.get("spec", {})
}


def labels_of(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "stackserve", "app.kubernetes.io/component": name}


@pytest.mark.parametrize("version", newest(3))
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_manifests_match_the_schema(path: Path, version: str) -> None:
    for document in documents(path):
        assert kubernetes_validate.validate(document, version, strict=True) == version


@pytest.mark.parametrize("version", newest(3))
@pytest.mark.parametrize(("key", "value"), [("readinesProbe", {}), ("args", "web"), ("name", 1)])
def test_a_broken_manifest_does_not_match(key: str, value: object, version: str) -> None:
    broken = copy.deepcopy(next(one for one in EVERYTHING if one["kind"] == "Deployment"))
    broken["spec"]["template"]["spec"]["containers"][0][key] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


def test_kustomization_has_every_manifest_and_image() -> None:
    assert set(KUSTOMIZATION["resources"]) == {path.name for path in FILES} - ON_DEMAND
    used = {pod["containers"][0]["image"] for pod in PODS.values()}
    assert {image["name"] for image in KUSTOMIZATION["images"]} == used
    assert "Secret" not in {one["kind"] for one in EVERYTHING}


def test_all_parts_are_there() -> None:
    assert set(PODS) == {"rabbitmq", "web", "recorder", "worker"}


@pytest.mark.parametrize("name", PODS)
def test_pods_have_no_rights_that_they_do_not_need(name: str) -> None:
    pod = PODS[name]
    assert pod["automountServiceAccountToken"] is False
    # Kubernetes would set STACKSERVE_PORT for a service of that name.
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    # Kubernetes would let a group write where Erlang and the machine code allow nobody to.
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    assert "memory" in container["resources"]["limits"]
    assert {"cpu", "memory"} == set(container["resources"]["requests"])


@pytest.mark.parametrize("name", PODS)
def test_a_pod_gets_only_its_own_secret(name: str) -> None:
    keys = [
        item["key"]
        for volume in PODS[name]["volumes"]
        for item in volume.get("secret", {}).get("items", ())
    ]
    assert keys == ["rabbitmq.conf" if name == "rabbitmq" else "stackserve_broker_url"]


def test_labels_lead_to_the_pods() -> None:
    """A typo in a selector would leave a service, budget or policy without effect."""
    for one in EVERYTHING:
        spec, name = one.get("spec", {}), one["metadata"]["name"]
        if one["kind"] in ("Deployment", "StatefulSet"):
            assert spec["template"]["metadata"]["labels"] == labels_of(name)
            assert spec["selector"]["matchLabels"] == labels_of(name)
        elif one["kind"] == "Service":
            assert spec["selector"] == labels_of(name)
            ports = {port["name"] for port in PODS[name]["containers"][0]["ports"]}
            assert {port["targetPort"] for port in spec["ports"]} <= ports
        elif one["kind"] == "PodDisruptionBudget":
            assert spec["selector"]["matchLabels"] == labels_of(name)


def test_only_the_web_tier_is_reachable_from_outside() -> None:
    policies = {
        one["metadata"]["name"]: one["spec"] for one in EVERYTHING if one["kind"] == "NetworkPolicy"
    }
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in policies.values():
        for rule in policy.get("ingress", ()):
            target = policy["podSelector"]["matchLabels"]
            if "from" not in rule:
                assert target == labels_of("web")
            else:
                assert target == labels_of("rabbitmq")
                assert [set(peer) for peer in rule["from"]] == [{"podSelector"}]
