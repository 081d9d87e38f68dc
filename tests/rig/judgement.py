"""Whether a run counts: every suite ran, every test passed, none was skipped, and the guest ended in order."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Judgement", "judge"]

_BAD = ("failure", "error", "skipped")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run gave.

    Attributes:
        passed: tests by suite.
        problems: why the run does not count, one line each.
        figures: what tests measured, by what it is.
    """

    passed: dict[str, int]
    problems: tuple[str, ...]
    figures: dict[str, str]


def judge(folder: Path, suites: Sequence[str]) -> Judgement:
    """Judge what a guest left in its folder.

    Args:
        folder: with `code`, the exit code of pytest, and its `junit.xml`.
        suites: names of test modules that had to run, like ``test_usb_phdc``.
    """
    passed: Counter[str] = Counter()
    problems: list[str] = []
    code = folder / "code"
    if not code.is_file():
        problems.append("the guest ended before its tests did: it crashed, or its time was over")
    elif code.read_text().strip() != "0":
        problems.append(f"pytest ended with {code.read_text().strip()}")
    cases = _cases(folder / "junit.xml")
    for suite, test, outcome in map(_outcome, cases):
        if outcome:
            problems.append(f"{suite}: {test}: {outcome}")
        else:
            passed[suite] += 1
    problems += [f"{suite}: no test of it passed" for suite in suites if not passed[suite]]
    figures = {each.get("name", ""): each.get("value", "") for case in cases for each in case.iter("property")}
    return Judgement(dict(passed), tuple(problems), figures)


def _cases(report: Path) -> list[ET.Element]:
    if not report.is_file():
        return []
    try:
        return list(ET.parse(report).getroot().iter("testcase"))
    except ET.ParseError:
        return []


def _outcome(case: ET.Element) -> tuple[str, str, str]:
    """Suite, test, and what is wrong with it or nothing."""
    bad = [part for part in case if part.tag in _BAD]
    outcome = "; ".join(f"{part.tag}: {part.get('message', '')[:200]}" for part in bad)
    return _suite(case.get("classname", "")), case.get("name", ""), outcome


def _suite(place: str) -> str:
    """The test module in a name that may have a class behind it, or folders before it."""
    parts = place.split(".")
    return next((part for part in reversed(parts) if part.startswith("test_")), parts[-1])
