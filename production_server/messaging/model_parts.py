"""What a worker VM asks for when it lacks a model, and how the server answers.

A worker sends one question at a time, as JSON, and the server answers each with one message of at
most PART_BYTES. A transfer has no state on the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from production_server.model.rollout import Candidate

# Neither side holds more of a model in memory.
PART_BYTES = 1 << 20
# The header of an answer that is an error.
REFUSED = "refused"

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Question(BaseModel):
    """The active version, a version's files, or a part of one of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The worker process on its VM. RabbitMQ vouches for the VM.
    process: int = Field(ge=1, le=99)
    ask: Literal["active", "files", "part"]
    version: str = ""
    file: str = ""
    part: int = Field(0, ge=0)


class Trial(BaseModel):
    """A version on trial beside the active one, and what identifies its contents."""

    candidate: Candidate
    digest: Sha256


class Active(BaseModel):
    """The version that the server wants to be served, and what identifies its contents."""

    version: str
    digest: Sha256
    # Older servers do not send it, and older workers do not read it.
    trial: Trial | None = None


class ModelFile(BaseModel):
    name: Literal["model.keras", "card.json"]
    size: int = Field(ge=0, le=2_000_000_000)
    sha256: Sha256

    @property
    def parts(self) -> Iterator[int]:
        return iter(range(-(-self.size // PART_BYTES)))


class Files(BaseModel):
    """The files of a version."""

    files: list[ModelFile] = Field(min_length=2, max_length=2)


class Answer(NamedTuple):
    """The body of an answer, or why the server has none."""

    body: bytes = b""
    refused: str = ""
