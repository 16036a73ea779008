"""Takes a pushed model as `models receive` does, for code that has no such verb yet.

python -m tests.support.receiving --check|--activate      a tar on standard input
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from production_server.errors import ModelError, StackserveError
from production_server.model.archive import unpack
from production_server.model.card import read_card
from production_server.model.importing import check_folder
from production_server.model.registry import Registry
from production_server.settings import load_settings

WORSE = 0.02


def main(activate: bool) -> str:
    registry = Registry(load_settings().registry_path)
    with tempfile.TemporaryDirectory() as folder:
        tar = Path(folder) / "pushed.tar"
        tar.write_bytes(sys.stdin.buffer.read())
        unpacked = Path(folder) / "version"
        unpacked.mkdir()
        unpack(tar, unpacked)
        check_folder(unpacked)
        compare(unpacked, registry)
        if not activate:
            return "the gate is open"
        return f"{registry.add_folder(unpacked, activate=True).version} is active"


def compare(unpacked: Path, registry: Registry) -> None:
    card = read_card(unpacked / "card.json")
    active = registry.card(registry.active())
    if [f.name for f in card.features] != [f.name for f in active.features]:
        raise ModelError("its features are not those of the active version, in that order")
    assert card.metrics and active.metrics
    if (card.metrics.roc_auc or 0) < (active.metrics.roc_auc or 0) - WORSE:
        raise ModelError(f"its ROC AUC of {card.metrics.roc_auc} is worse")


if __name__ == "__main__":
    try:
        print(main("--activate" in sys.argv))
    except StackserveError as error:
        sys.exit(f"Error: {error}")
