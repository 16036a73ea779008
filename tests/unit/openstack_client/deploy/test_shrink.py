"""Worker VMs are removed together with their accounts; the cloud is a list of deletions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openstack_client.cloud.resources import Port, Server
from openstack_client.deploy.shrink import remove_surplus
from openstack_client.errors import ServerError
from openstack_client.plan.inventory import PART_KEY, Inventory, mark
from openstack_client.plan.model import Plan
from openstack_client.watch.progress import Progress
from tests.support.ssh_program import AnsweringSsh
from tests.unit.openstack_client.recording_display import RecordingDisplay

SURPLUS = Inventory(
    "x",
    servers=(
        Server("s1", "x-worker-1", "ACTIVE", metadata={PART_KEY: "worker-1"}),
        Server("s2", "x-worker-2", "ERROR", metadata={PART_KEY: "worker-2"}),
    ),
    ports=(Port("p3", "x-worker-3", mark("x", "00", "worker-3")),),
)


class Deletions:
    """A deleter that notes what was asked of the front end before."""

    def __init__(self, ssh: AnsweringSsh) -> None:
        self.ssh = ssh
        self.before: list[str] | None = None

    def delete(self, what: Inventory) -> None:
        assert what == SURPLUS
        self.before = self.ssh.asked


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AnsweringSsh:
    return AnsweringSsh(tmp_path, monkeypatch)


def remove(ssh: AnsweringSsh, *, drain: bool) -> tuple[Any, list[str]]:
    display, deletions = RecordingDisplay(), Deletions(ssh)
    deleter: Any = deletions
    plan = Plan("x", surplus=SURPLUS)
    remove_surplus(plan, ssh.target, deleter, Progress(display), drain=drain)
    return deletions.before, display.notes


def test_the_one_that_runs_is_drained_and_all_accounts_are_removed(ssh: AnsweringSsh) -> None:
    ssh.answer("drain")
    ssh.answer("remove")
    before, _ = remove(ssh, drain=True)
    assert before == ["drain worker-1 --timeout 600", "remove worker-1"]
    assert sorted(ssh.asked[2:]) == ["remove worker-2", "remove worker-3"]


def test_without_draining_the_accounts_go_last(ssh: AnsweringSsh) -> None:
    ssh.answer("remove")
    before, notes = remove(ssh, drain=False)
    assert before == [] and notes == []
    assert sorted(ssh.asked) == ["remove worker-1", "remove worker-2", "remove worker-3"]


def test_without_draining_a_front_end_that_does_not_answer_is_no_error(ssh: AnsweringSsh) -> None:
    before, notes = remove(ssh, drain=False)
    assert before == [] and len(notes) == 3
    assert all("its account stays until its name is used again" in note for note in notes)


def test_without_its_host_key_the_front_end_is_not_asked(ssh: AnsweringSsh) -> None:
    ssh.target.known_hosts.unlink()
    assert remove(ssh, drain=False) == ([], []) and ssh.asked == []


def test_one_that_cannot_be_drained_stays(ssh: AnsweringSsh) -> None:
    with pytest.raises(ServerError, match="worker-1 was not removed, because it may hold tasks"):
        remove(ssh, drain=True)
    assert ssh.asked == ["drain worker-1 --timeout 600"]
