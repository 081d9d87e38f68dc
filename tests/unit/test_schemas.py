"""The published schemas are those of the models."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.cli.schemas import schemas

FOLDER = Path(__file__).resolve().parents[2] / "config" / "schemas"


def test_the_kept_schemas_are_those_of_the_models() -> None:
    kept = {path.name.removesuffix(".schema.json"): path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert kept == schemas(), "run `make schemas`, and add a new version instead of changing a published one"


def test_writing_makes_one_file_each(tmp_path: Path) -> None:
    assert main(["schemas", "write", str(tmp_path / "new")]) == 0
    assert len(list((tmp_path / "new").iterdir())) == len(schemas())


def test_an_unknown_name_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schemas", "show", "reading-9"]) == 2
    assert "reading-1" in capsys.readouterr().err
