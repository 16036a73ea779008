"""The work of one run: a training or an upload, in a process of its own at the lowest priority."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from production_server.errors import GateError, StackserveError
from production_server.model import gate
from production_server.model.card import CARD_FILE, card_text
from production_server.model.durable import write_whole
from production_server.model.registry import Registry, sha256_of
from production_server.settings import load_settings, set_up_logging
from production_server.trainer.description import described
from production_server.trainer.runs import OUTCOME, PROGRESS, SENT, Kind, Outcome, Progress, Run

log = logging.getLogger(__name__)

# What a network of tabular data takes is a tenth of it. Most of it is address space of libraries.
MOST_ADDRESSES = 16 << 30
MOST_FILE = 1 << 30
TELL_SECONDS = 0.5
DATA = "data.csv"


def work(folder: Path) -> None:
    """Carry out a run, and write its outcome."""
    settings = load_settings()
    set_up_logging(settings.log_level)
    run = Run(folder)
    _give_way(run.request.kind)
    _end_with_parent()
    lock = os.open(folder / ".work", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # The process of a trainer that was killed ends within a second.
    fcntl.flock(lock, fcntl.LOCK_EX)
    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    tempfile.tempdir = str(scratch)
    registry = Registry(settings.registry_path)
    registry.seed()
    try:
        carry_out = _train if run.request.kind is Kind.TRAIN else _receive
        outcome = carry_out(run, registry, scratch)
    except GateError as error:
        outcome = Outcome(code=error.code, reason=str(error), remedy=error.remedy)
    except StackserveError as error:
        reason = str(error).replace(f"{folder / SENT}/", "")
        outcome = Outcome(code="refused", reason=reason, remedy=error.remedy)
    except Exception as error:  # whatever a library raises: the client has to learn of it
        log.exception("run %s failed", run.id)
        outcome = Outcome(
            code="failed",
            reason=f"it failed unexpectedly: {type(error).__name__}",
            remedy="The server's log tells the cause.",
        )
    shutil.rmtree(scratch, ignore_errors=True)
    write_whole(folder / OUTCOME, outcome.model_dump_json().encode())


def _receive(run: Run, registry: Registry, _scratch: Path) -> Outcome:
    notes: list[str] = []
    request = run.request
    card = gate.admit(
        registry,
        sent_of(run.folder / SENT),
        force=request.force,
        activate=request.activate,
        say=notes.append,
    )
    if request.shadow or request.canary is not None:
        notes.append(gate.stage(registry, card.version, canary=request.canary))
    return Outcome(version=card.version, notes=notes)


def sent_of(folder: Path) -> Path:
    """What was sent: a single file, or a folder of several."""
    files = list(folder.iterdir())
    return files[0] if len(files) == 1 else folder


def _train(run: Run, registry: Registry, scratch: Path) -> Outcome:
    from production_server.model import importing, training
    from production_server.model.dataset import read_table

    request = run.request
    card = described(run.folder / SENT, request.name, registry)
    table = read_table(str(run.folder / SENT / DATA), card)
    teller = Teller(run.folder / PROGRESS, training.MOST_EPOCHS)
    trained = training.train(
        table, card, seed=request.seed, say=teller.phase, on_epoch=teller.epoch
    )
    teller.phase("compare with the active version")
    if not request.force:
        training.refuse_worse(
            trained.held_out_auc, floor=0.0, active=training.rival_auc(registry, trained, table)
        )
    folder = scratch / "version"
    folder.mkdir()
    ready = importing.prepare(trained.model, trained.card, scratch=folder)
    hashed = ready.model_copy(update={"model_sha256": sha256_of(folder / "model.keras")})
    (folder / CARD_FILE).write_text(card_text(hashed), encoding="utf-8")
    with gate.check(registry, folder, force=request.force) as checked:
        kept = registry.add(checked.card, checked.folder / "model.keras", activate=request.activate)
    teller.phase("finished")
    return Outcome(version=kept.version, notes=checked.notes)


class Teller:
    """Writes the progress, at most twice a second. A reader finds all of it or the one before."""

    def __init__(self, path: Path, most_epochs: int) -> None:
        self._path = path
        self._progress = Progress(most_epochs=most_epochs)
        self._told = 0.0

    def phase(self, text: str) -> None:
        self._progress = self._progress.model_copy(update={"phase": text})
        self._tell()

    def epoch(self, number: int, loss: float, val_loss: float) -> None:
        known = self._progress
        self._progress = known.model_copy(
            update={
                "phase": "train",
                "epochs": number,
                "loss": [*known.loss, round(loss, 6)],
                "val_loss": [*known.val_loss, round(val_loss, 6)],
            }
        )
        if time.monotonic() > self._told + TELL_SECONDS:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        fresh = self._path.with_suffix(".fresh")
        fresh.write_text(self._progress.model_dump_json(), encoding="utf-8")
        fresh.replace(self._path)


def _give_way(kind: Kind) -> None:
    """Give way to whatever serves, and keep within limits."""
    if kind is Kind.TRAIN:
        os.nice(19)
        # It is missing on other systems, and a container may forbid it.
        with suppress(AttributeError, OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        # Somebody waits for it, so it must get its turn even if the service is busy.
        os.nice(10)
    for limit, most in ((resource.RLIMIT_AS, MOST_ADDRESSES), (resource.RLIMIT_FSIZE, MOST_FILE)):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(
            limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
        )


def _end_with_parent() -> None:
    """End when the trainer is gone: the next one starts the run again."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
