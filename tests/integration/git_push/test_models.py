"""`git push` of a model: it goes live in a running service, or the push is refused and says why."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from production_server.gitpush.layout import KEPT_COMMITS
from production_server.model.registry import SHIPPED
from tests.support.push_machine import Clone, PushMachine
from tests.support.rows import PATIENT
from tests.support.service import Service

Make = Callable[..., Clone]
SAFE = ("env", "GIT_CONFIG_SYSTEM=/var/lib/stackserve-git/git.config")


def shipped() -> Path:
    return next(folder for folder in SHIPPED.iterdir() if (folder / "card.json").exists())


def put_version(clone: Clone, version: str, **changes: object) -> Path:
    """A version folder in the repository, with these changes to its card."""
    folder = clone.folder / "model"
    shutil.copytree(shipped(), folder, dirs_exist_ok=True)
    card = json.loads((folder / "card.json").read_text())
    card.update({"version": version, **changes})
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def served(service: Service, wanted: str = "") -> str:
    """The version that answers, once it is the wanted one or has had time to be."""
    until = time.monotonic() + 20
    while True:
        answer = httpx.post(f"{service.url}/predict", json=PATIENT, timeout=20)
        version = str(answer.json()["version"])
        if version == wanted or time.monotonic() > until or not wanted:
            return version
        time.sleep(0.2)


def refused(clone: Clone, *words: str) -> str:
    """What a push says that must fail."""
    clone.commit()
    pushed = clone.push(*words)
    assert pushed.returncode != 0, pushed.stderr
    return pushed.stderr


def test_a_pushed_version_goes_live(service: Service, clone: Make) -> None:
    anna = clone("anna")
    put_version(anna, "diabetes-7", created="2026-01-02T03:04:05Z")
    anna.commit()
    pushed = anna.push()
    assert pushed.returncode == 0, pushed.stderr
    assert "remote: Found the model in model/" in pushed.stderr
    assert "remote: Going live" in pushed.stderr
    assert served(service, "diabetes-7") == "diabetes-7"


def test_a_refused_push_changes_nothing(
    service: Service, clone: Make, machine: PushMachine
) -> None:
    ben = clone("ben")
    ben.git("pull", "--quiet", "production", "main")
    before = served(service), head(machine)
    version = put_version(ben, "diabetes-8")
    card = json.loads((version / "card.json").read_text())

    worse = {**card, "metrics": {**card["metrics"], "roc_auc": 0.51}}
    (version / "card.json").write_text(json.dumps(worse))
    assert "ROC AUC" in refused(ben)

    features = card["features"]
    (version / "card.json").write_text(json.dumps({**card, "features": features[::-1]}))
    assert "remote: Production is unchanged." in refused(ben)

    (version / "card.json").write_text(json.dumps(card))
    whole = (version / "model.keras").read_bytes()
    (version / "model.keras").write_bytes(whole[: len(whole) // 2])
    assert "damaged" in refused(ben)

    (version / "model.keras").unlink()
    assert "model/card.json has no model.keras beside it" in refused(ben)

    shutil.rmtree(version)
    (ben.folder / "model.json").write_text("{}")
    assert "model.json has no model.h5 beside it" in refused(ben)

    (ben.folder / "model.json").unlink()
    assert "the tree has no model and no code" in refused(ben)
    assert "the branch cannot be deleted" in refused(ben, "production", ":main")
    assert (served(service), head(machine)) == before


def test_only_a_key_with_that_right_pushes_code(machine: PushMachine, clone: Make) -> None:
    for key, flags, answer in (
        ("student", (), "this key may push models, but no code"),
        ("developer", ("--allow-code",), "the new code does not start"),
    ):
        repository = clone(key, *flags)
        package = repository.folder / "production_server"
        package.mkdir()
        (package / "__main__.py").write_text("raise SystemExit(1)\n")
        before = head(machine)
        assert answer in refused(repository, "--force", "production", "main")
        assert head(machine) == before


def test_a_push_waits_for_another_one(machine: PushMachine, clone: Make) -> None:
    carl = clone("carl")
    carl.git("pull", "--quiet", "production", "main")
    put_version(carl, "diabetes-9", created="2026-02-02T03:04:05Z")
    carl.commit()
    lock = "/var/lib/stackserve-git/push.lock"
    held = machine.start("flock", lock, "sh", "-c", "echo held; exec sleep 2")
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    pushed = carl.push()
    assert pushed.returncode == 0, pushed.stderr
    assert "Another push is under way" in pushed.stderr
    assert held.wait() == 0
    held.stdout.close()


@pytest.mark.long
def test_a_large_repository_forgets_old_versions(machine: PushMachine, clone: Make) -> None:
    dora = clone("dora")
    dora.git("pull", "--quiet", "production", "main")
    for number in range(5):
        put_version(dora, "diabetes-9", created=f"2026-03-0{number + 1}T03:04:05Z")
        dora.commit()
    shorten = (
        "import sys; sys.path.insert(0, '/opt/stackserve/app');"
        "from production_server.gitpush.history import shorten;"
        "from production_server.gitpush.layout import ON_SERVER;"
        "print(shorten(ON_SERVER, largest=0))"
    )
    for number in range(2):
        put_version(dora, "diabetes-9", created=f"2026-04-0{number + 1}T03:04:05Z")
        dora.commit()
        pushed = dora.push()
        assert pushed.returncode == 0, pushed.stderr
        done = machine.inside("/opt/stackserve/venv/bin/python", "-IBc", shorten)
        assert done.stdout.splitlines()[-1:] == ["True"], done.stderr
        assert count(machine) == KEPT_COMMITS
    # Somebody else still gets all of it that is there.
    emil = clone("emil")
    emil.git("fetch", "--quiet", "--update-shallow", "production", "main:refs/heads/got")
    emil.git("checkout", "--quiet", "got")
    assert emil.git("rev-parse", "HEAD") == dora.git("rev-parse", "HEAD")
    emil.git("fsck")


def head(machine: PushMachine) -> str:
    git = ("git", "-C", "/var/lib/stackserve-git/production.git")
    return machine.inside("runuser", "-u", "deploy", "--", *SAFE, *git, "rev-parse", "main").stdout


def count(machine: PushMachine) -> int:
    git = ("git", "-C", "/var/lib/stackserve-git/production.git")
    return int(
        machine.inside(
            "runuser", "-u", "deploy", "--", *SAFE, *git, "rev-list", "--count", "main"
        ).stdout
    )
