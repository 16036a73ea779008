"""What a training makes: the card of its features file, or one like the active version's."""

from __future__ import annotations

from pathlib import Path

from production_server.errors import ModelError
from production_server.model.card import Card
from production_server.model.description import Description, read_description
from production_server.model.registry import Registry

FEATURES = "features"


def described(sent: Path, name: str, registry: Registry) -> Card:
    """The card to train, without measurements. Raises ModelError or RegistryError."""
    found = list(sent.glob(f"{FEATURES}.*"))
    if found:
        description = read_description(found[0])
    else:
        active = registry.card(registry.active())
        known = active.model_dump(include=set(Description.model_fields))
        description = Description.model_validate(known)
    if description.kind != "binary":
        raise ModelError(
            f"only binary classifiers can be trained, and {description.name} is {description.kind}",
            "Send a features file of a binary classifier, or train the model with Keras and "
            "upload it.",
        )
    if name:
        description = description.model_copy(update={"name": name})
    return description.card()
