"""The runs of the trainer: what is kept, and when one is given up."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from production_server.settings import Settings
from production_server.trainer import process
from production_server.trainer.process import MOST_ATTEMPTS, Lane, Trainer
from production_server.trainer.runs import (
    KEPT_SECONDS,
    LEFT_SECONDS,
    LOCK,
    SENT,
    Kind,
    Request,
    Run,
    Runs,
    Standing,
    State,
)


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "trainer")


def submit(runs: Runs, created: float = 0.0, kind: Kind = Kind.TRAIN) -> Run:
    with runs.draft() as draft:
        (draft / SENT / "data.csv").write_text("a,b\n")
        return runs.submit(draft, Request(kind=kind, created=created))


def again(runs: Runs, run: Run) -> Run:
    found = runs.get(run.id)
    assert found is not None
    return found


def test_a_run_appears_complete_or_not_at_all(runs: Runs) -> None:
    with pytest.raises(KeyboardInterrupt), runs.draft() as draft:
        assert runs.all() == []
        raise KeyboardInterrupt
    assert not draft.exists()
    run = submit(runs)
    assert [one.id for one in runs.all()] == [run.id]
    assert (run.folder / SENT / "data.csv").read_text() == "a,b\n"
    assert run.standing.state is State.QUEUED


@pytest.mark.parametrize("name", ["..", ".new-" + "0" * 32, "0" * 31, "A" * 32, ""])
def test_only_an_id_names_a_run(runs: Runs, name: str) -> None:
    submit(runs)
    assert runs.get(name) is None


def test_the_newest_is_first_and_kinds_are_apart(runs: Runs) -> None:
    older, newer = submit(runs, 1.0), submit(runs, 2.0)
    submit(runs, 3.0, Kind.RECEIVE)
    assert [run.id for run in runs.all(Kind.TRAIN)] == [newer.id, older.id]
    assert (runs.unfinished(Kind.TRAIN), runs.unfinished(Kind.RECEIVE)) == (2, 1)


def test_old_runs_and_broken_uploads_go(runs: Runs) -> None:
    now = time.time()
    old, young, queued = (submit(runs, now) for _ in range(3))
    old.write(Standing(state=State.DONE, finished=now - KEPT_SECONDS - 1))
    young.write(Standing(state=State.DONE, finished=now))
    left = runs.folder / ".new-left"
    left.mkdir()
    os.utime(left, (now - LEFT_SECONDS - 1, now - LEFT_SECONDS - 1))
    runs.tidy(now)
    assert {run.id for run in runs.all()} == {young.id, queued.id}
    assert not left.exists()
    assert not (young.folder / SENT).exists(), "a finished run needs its data no more"
    assert (queued.folder / SENT).exists()


def test_a_run_that_is_killed_again_and_again_is_given_up(runs: Runs) -> None:
    run = submit(runs)
    run.write(Standing(state=State.RUNNING, attempts=MOST_ATTEMPTS))
    Lane(runs, Kind.TRAIN, {}).look()
    standing = again(runs, run).standing
    assert standing.state is State.FAILED and standing.outcome is not None
    assert "killed 3 times" in standing.outcome.reason and standing.outcome.remedy


def test_a_cancelled_run_is_never_started(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = submit(runs)
    run.cancel()
    monkeypatch.setattr(process, "subprocess", None)
    Lane(runs, Kind.TRAIN, {}).look()
    assert again(runs, run).standing.state is State.CANCELLED


def test_a_second_trainer_waits(runs: Runs, tmp_path: Path) -> None:
    assert not runs.attended()
    runs.folder.mkdir()
    lock = os.open(runs.folder / LOCK, os.O_RDWR | os.O_CREAT)
    assert not runs.attended()
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert runs.attended()
    second = Trainer(Settings(home=tmp_path))
    second.stop()
    run = submit(runs)
    second.run()
    assert again(runs, run).standing.state is State.QUEUED
    os.close(lock)
