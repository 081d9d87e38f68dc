"""Every command of the README is one that the command line knows."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest

from gateway.cli.main import COMMANDS, main

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
LINES = [line.split("  #")[0].strip() for line in README.splitlines() if line.startswith("inr-gateway ")]


def known_to_help(words: list[str]) -> bool:
    """Whether `--help` after the sub-commands of this line is understood."""
    verbs = list(itertools.takewhile(lambda word: not word.startswith("-"), words))[:2]
    with pytest.raises(SystemExit) as ended:
        main([*verbs, "--help"])
    return ended.value.code == 0


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_readme_is_known(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)[1:]
    assert known_to_help(words)
    text = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", line):
        assert option in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_sub_command_helps_a_stranger(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert known_to_help([name])
    assert len(capsys.readouterr().out.split()) > 20


def test_the_readme_links_to_what_is_there() -> None:
    root = Path(__file__).resolve().parents[2]
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (root / target).exists(), target
