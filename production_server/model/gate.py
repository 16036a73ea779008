"""The gate: what a new version must fulfil before it can go live.

`check` changes nothing: it opens what was sent, in a folder of its own, and compares it with the
active version. `admit` adds what passed. Both run Keras, so the web tier never calls them.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from production_server.errors import GateError, ModelError, RegistryError
from production_server.model import importing, kerasfiles, quality, rollout, sanity, unpacking
from production_server.model.card import MODEL_FILE, Card, read_card, version_number
from production_server.model.description import Description, read_description
from production_server.model.incoming import Incoming, gather
from production_server.model.predictor import Predictor
from production_server.model.registry import Registry, refuse_changed
from production_server.model.rollout import Candidate, Mode

# Of a .keras file, with everything in it unpacked.
MOST_UNPACKED = 512 << 20
Say = Callable[[str], None]


@dataclass(frozen=True)
class Checked:
    """A version that passed the gate, in a folder with its two files if it came with a card."""

    card: Card
    version: str
    """What it is called in the registry."""
    folder: Path
    has_card: bool
    notes: list[str] = field(default_factory=list)


@contextmanager
def check(
    registry: Registry, source: Path, *, features: Path | None = None, force: bool = False
) -> Iterator[Checked]:
    """Check a folder, a .tar or a file. Raise GateError with the reason if it is refused.

    What passed lies in a temporary folder while the block runs.
    """
    with tempfile.TemporaryDirectory(prefix="stackserve-gate-") as folder:
        scratch = Path(folder)
        try:
            checked = _check(registry, source, scratch, features, force)
        except GateError as error:
            raise GateError(error.code, _words(error, scratch), error.remedy) from error
        except (ModelError, RegistryError) as error:
            raise GateError("invalid_model", _words(error, scratch), error.remedy) from error
        yield checked


def admit(
    registry: Registry,
    source: Path,
    *,
    features: Path | None = None,
    force: bool = False,
    activate: bool = False,
    say: Say = lambda line: None,
) -> Card:
    """Check a new version and add it to the registry."""
    with check(registry, source, features=features, force=force) as checked:
        for note in checked.notes:
            say(note)
        return add(registry, checked, activate=activate)


def add(registry: Registry, checked: Checked, *, activate: bool = False) -> Card:
    """Add a version that passed."""
    if checked.has_card:
        return registry.add_folder(checked.folder, activate=activate)
    return registry.add(checked.card, checked.folder / MODEL_FILE, activate=activate)


def stage(registry: Registry, version: str, *, canary: float | None) -> str:
    """Put a version on trial: as a canary with this share, or else as a shadow. Say so."""
    if canary is None:
        rollout.start(registry, Candidate(version=version, mode=Mode.SHADOW, share=1.0))
        return f"{version} gets a copy of the requests, and {registry.active()} answers them"
    rollout.start(registry, Candidate(version=version, mode=Mode.CANARY, share=canary))
    return f"{version} answers {canary:.4g} of the requests, and {registry.active()} the others"


def active_card(registry: Registry) -> Card | None:
    try:
        return registry.card(registry.active())
    except RegistryError:
        return None


def _check(
    registry: Registry, source: Path, scratch: Path, features: Path | None, force: bool
) -> Checked:
    sent, ready = scratch / "sent", scratch / "ready"
    sent.mkdir()
    ready.mkdir()
    incoming = gather(source, sent, features)
    active = active_card(registry)
    notes: list[str] = []
    if incoming.card is not None:
        folder, card = sent, _with_card(incoming, notes)
    else:
        folder, card = ready, _without_card(incoming, active, ready, notes)
    if active is None or active.name != card.name:
        notes.append(f"no version of {card.name} is active, so it is compared with none")
    else:
        refuse_other_features(card, active)
        notes += quality.refuse_worse(card, active, force=force)
    version = _name(registry, card, has_card=incoming.card is not None)
    return Checked(card, version, folder, incoming.card is not None, notes)


def _with_card(incoming: Incoming, notes: list[str]) -> Card:
    """A version of another registry: file and card must belong together."""
    assert incoming.card is not None
    card = read_card(incoming.card)
    try:
        refuse_changed(incoming.model, card)
    except RegistryError as error:
        raise GateError(
            "hash", str(error), "Export the version again, and send it again."
        ) from error
    _refuse_large(incoming.model)
    predictor = Predictor.of(kerasfiles.load(incoming.model), card)
    importing.refuse_misfit(card, predictor.predict(importing.probe(card)))
    if card.sanity is None:
        notes.append(f"the card of {card.version} has no sanity predictions to check")
    elif wrong := sanity.difference(card, predictor):
        raise GateError(
            "sanity",
            f"the model does not give the predictions in its card: {wrong}",
            "Model and card do not belong together, or the libraries here answer differently. "
            "Export the version again where it was made.",
        )
    return card


def _without_card(incoming: Incoming, active: Card | None, ready: Path, notes: list[str]) -> Card:
    """A model file, described by a features file or like the active version."""
    _refuse_large(incoming.model)
    model = kerasfiles.one_input(importing.read_model(incoming.model, incoming.weights))
    if incoming.features is not None:
        card = read_description(incoming.features).card()
    else:
        card = _like(active, *kerasfiles.widths(model))
        notes.append(f"it has no features file; its inputs are taken for those of {card.name}")
    return importing.prepare(model, card, scratch=ready)


def _like(active: Card | None, inputs: int, outputs: int) -> Card:
    """A card for a model that takes and answers what the active version does."""
    remedy = "Describe its inputs in a features file and send it along: --features FILE."
    what = f"it has no features file, {inputs} inputs and {outputs} outputs"
    if active is None:
        raise GateError("features", what, remedy)
    if (inputs, outputs) != (len(active.features), active.width):
        other = f"the active {active.version} has {len(active.features)} and {active.width}"
        raise GateError("features", f"{what}; {other}", remedy)
    known = active.model_dump(include=set(Description.model_fields))
    return Description.model_validate(known).card()


def refuse_other_features(card: Card, active: Card) -> None:
    """Raise GateError if clients of the active version could not use this one."""
    if (card.kind, card.classes) != (active.kind, active.classes):
        raise GateError(
            "output",
            f"it is {card.kind} with the classes {card.classes}, and the active {active.version} "
            f"is {active.kind} with {active.classes}",
            "Give the model another name in its features file.",
        )
    new, old = card.feature_names, active.feature_names
    if new == old:
        return
    if sorted(new) == sorted(old):
        what = f"its features have another order: {', '.join(new)}"
    else:
        extra, lacking = sorted(set(new) - set(old)), sorted(set(old) - set(new))
        parts = [
            *([f"it has {', '.join(extra)}"] if extra else []),
            *([f"it lacks {', '.join(lacking)}"] if lacking else []),
        ]
        what = f"its features differ: {' and '.join(parts)}"
    raise GateError(
        "features",
        f"{what}; the active {active.version} has {', '.join(old)}",
        "Give it the same features in the same order, or another name in its features file.",
    )


def _refuse_large(model: Path) -> None:
    """A .keras file is compressed. Other formats are checked when they are read."""
    if not zipfile.is_zipfile(model):
        return
    try:
        with unpacking.opened(model) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except kerasfiles.UNREADABLE as error:
        raise kerasfiles.unreadable(model, error) from error
    if unpacked > MOST_UNPACKED:
        raise GateError(
            "too_large",
            f"it unpacks to {unpacked:,} bytes; at most {MOST_UNPACKED:,} are allowed",
            "Save the model without its optimizer.",
        )


def _name(registry: Registry, card: Card, *, has_card: bool) -> str:
    """The version that `add` will give it."""
    held = [version for version in registry.versions() if version.startswith(f"{card.name}-")]
    numbers = [version_number(v) for v in held if registry.card(v).name == card.name]
    if has_card and card.version not in held:
        return card.version
    if has_card and registry.card(card.version).model_sha256 == card.model_sha256:
        return card.version
    return f"{card.name}-{max(numbers, default=0) + 1}"


def _words(error: Exception, scratch: Path) -> str:
    """The message without the path of the temporary folder."""
    return str(error).replace(f"{scratch}/sent/", "").replace(f"{scratch}/ready/", "")
