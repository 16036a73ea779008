"""What the server answers a worker VM that asks for models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from production_server.messaging import model_parts
from production_server.messaging.model_parts import Files, Question
from production_server.model.registry import Registry, sha256_of
from production_server.remote import model_source
from production_server.remote.model_source import answer, asker


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "models")
    registry.seed()
    return registry


def ask(registry: Registry, **question: Any) -> model_source.Answer:
    return answer(registry, Question(process=1, **question))


def test_the_active_version(registry: Registry) -> None:
    said = json.loads(ask(registry, ask="active").body)
    assert said == {"version": "diabetes-1", "digest": registry.digest("diabetes-1")}


def test_parts_make_up_the_files(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (model_parts, model_source):
        monkeypatch.setattr(module, "PART_BYTES", 1000)
    files = Files.model_validate_json(ask(registry, ask="files", version="diabetes-1").body).files
    for file in files:
        path = registry.path / "diabetes-1" / file.name
        parts = [
            ask(registry, ask="part", version="diabetes-1", file=file.name, part=part).body
            for part in file.parts
        ]
        assert max(len(part) for part in parts) <= 1000 < file.size
        assert b"".join(parts) == path.read_bytes()
        assert file.sha256 == sha256_of(path)


@pytest.mark.parametrize("version", ["diabetes-2", "", "..", "../models/diabetes-1", "/etc"])
def test_other_versions_are_refused(registry: Registry, version: str) -> None:
    for what in ("files", "part"):
        said = ask(registry, ask=what, version=version, file="card.json")
        assert said.body == b"" and "no version" in said.refused


@pytest.mark.parametrize("file", ["", "..", "../active", "/etc/passwd", "../../jobs.sqlite3"])
def test_other_files_are_not_sent(registry: Registry, file: str) -> None:
    assert ask(registry, ask="part", version="diabetes-1", file=file).body == b""


def test_nothing_is_sent_beyond_the_end(registry: Registry) -> None:
    said = ask(registry, ask="part", version="diabetes-1", file="card.json", part=10**9)
    assert said.body == b""


@pytest.mark.parametrize(
    "wrong", [{"process": 0}, {"part": -1}, {"ask": "delete"}, {"reply_to": "w2"}]
)
def test_other_questions_are_invalid(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Question.model_validate({"process": 1, "ask": "active", **wrong})


@pytest.mark.parametrize(
    ("user", "vm"),
    [
        ("worker-w1", "w1"),
        ("worker-worker-1", "worker-1"),
        ("stackserve", None),
        ("worker-", None),
        ("worker-W.1", None),
        (None, None),
    ],
)
def test_only_worker_vms_are_answered(user: object, vm: str | None) -> None:
    assert asker(user) == vm
