"""The features file, in TOML or JSON: describes a model, or a table to train on.

`diabetes.toml`, beside this module, describes the shipped model and serves as an example.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from production_server.errors import CardError
from production_server.model.card import NAME_PATTERN, Card, Feature, explain
from production_server.model.metrics import Part
from production_server.model.outputs import Kind

DIABETES = Path(__file__).with_name("diabetes.toml")
_MOST_BYTES = 1_000_000


class Description(Part):
    """The part of a card that a person writes."""

    name: Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
    kind: Kind
    target: Annotated[str, Field(description="what the model predicts")]
    outcome: str = Field("outcome", description="column of the true values in a table")
    classes: list[str] = Field([], description="binary: negative, then positive")
    unit: str = ""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    notes: str = ""
    features: Annotated[list[Feature], Field(min_length=1)]

    def card(self) -> Card:
        """A card without measurements. Its version is provisional."""
        try:
            return Card.model_validate({**self.model_dump(), "version": f"{self.name}-1"})
        except ValidationError as error:
            raise CardError(
                f"the description of {self.name} is not valid: {explain(error)}",
                "Correct the features file.",
            ) from error


def read_description(path: Path) -> Description:
    """The description in a .toml or .json file. Raises CardError with the key that is wrong."""
    remedy = f"See {DIABETES.name} in production_server/model for a complete example."
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CardError(f"the features file {path} is over {_MOST_BYTES} bytes", remedy)
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
        description = Description.model_validate(raw)
    except OSError as error:
        raise CardError(
            f"cannot read the features file {path}: {error.strerror}", remedy
        ) from error
    except ValidationError as error:
        raise CardError(
            f"the features file {path} is not valid: {explain(error)}", remedy
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise CardError(
            f"the features file {path} is neither TOML nor JSON: {error}", remedy
        ) from error
    description.card()  # rules between keys are checked now, not at the end of a run
    return description
