"""Model files that are refused before Keras reads them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from production_server.errors import ModelError
from production_server.model import kerasfiles


@pytest.mark.parametrize(
    ("limit", "member"), [("_MOST_UNPACKED", "weights"), ("_MOST_CONFIG", "config.json")]
)
def test_a_small_file_that_unpacks_to_a_large_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, member: str
) -> None:
    monkeypatch.setattr(kerasfiles, limit, 1_000_000)
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in {"config.json", member}:
            archive.writestr(name, b"0" * (1_000_001 if name == member else 1))
    assert path.stat().st_size < 5_000
    with zipfile.ZipFile(path) as archive, pytest.raises(ModelError, match="too large"):
        kerasfiles.refuse_bomb(archive, path)


def test_an_ordinary_file_is_not_too_large(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", b"{}")
        kerasfiles.refuse_bomb(archive, tmp_path / "model.keras")
