"""``units statement`` and ``units explain``."""

from __future__ import annotations

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

from gateway.cli.opened import opened
from gateway.cli.tables import print_table
from gateway.cli.units.opening import made
from gateway.cli.units.printing import dates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.reporting.claims.tallied import Tallied
    from gateway.reporting.units import Statement
    from gateway.reporting.units.neighbours import Caution

__all__ = ["as_json", "run"]

HEPARIN_RULE = "R36"
"""The statement's own notices tell of heparin."""


def run(arguments: argparse.Namespace) -> int:
    """Print a statement, or explain it."""
    return _statement(arguments) if arguments.action == "statement" else _explain(arguments)


def _statement(arguments: argparse.Namespace) -> int:
    from gateway.reporting.claims.beside import beside_units
    from gateway.reporting.claims.tallied import periods_in
    from gateway.reporting.facts import facts_of
    from gateway.reporting.units.billers import doubt, obstacle
    from gateway.store import claims

    with opened(arguments) as (configuration, database):
        tallied = made(arguments, configuration, database, trace=False)
        facts = facts_of(database, arguments.patient)
        periods = periods_in(facts)
        cautions = beside_units(facts, tallied.statement.as_of, configuration.server.role)
        kind, service = configuration.delivery.supplier.kind, tallied.policy.service
        about_biller = [words for words in (obstacle(kind, service), doubt(kind, service)) if words]
        holders = [
            claims.held_by(database, arguments.patient, unit.code, unit.tests) if unit.status == "claimed" else None
            for unit in tallied.statement.units
        ]
    claimed = [None if holder is None else holder.id for holder in holders]
    if arguments.json:
        print(json.dumps(as_json(tallied.statement, claimed, cautions, about_biller), indent=2))
        return 0
    print(f"patient {arguments.patient}, as of {tallied.statement.as_of}, policy {tallied.statement.policy}")
    if len(periods) > 1:
        print(f"payer's period {tallied.number} of {len(periods)}: {tallied.period.payer} (--period shows another)")
    _print_units(tallied.statement, claimed)
    _print_rest(tallied)
    for words in about_biller:
        print(f"notice: {words}")
    for caution in cautions:
        if caution.rule != HEPARIN_RULE:
            print(caution.line)
    return 0


def _print_units(statement: Statement, claimed: Sequence[str | None]) -> None:
    if not statement.units:
        return
    columns = ["unit", "code", "tests", "first", "last", "billable from", "status", "file by", "review"]
    rows: list[list[object]] = [
        [
            number,
            "-".join([unit.code, *unit.modifiers]),
            " ".join(unit.tests),
            unit.first_test,
            unit.last_test,
            unit.billable_from,
            unit.status,
            unit.file_by,
            " ".join(unit.review_flags),
        ]
        for number, unit in enumerate(statement.units, start=1)
    ]
    if any(claimed):
        columns.append("claim")
        rows = [[*row, claim] for row, claim in zip(rows, claimed, strict=True)]
    print_table(columns, rows)


def _print_rest(tallied: Tallied) -> None:
    """What is in no unit, what comes next, and what a person should know besides."""
    statement, tests = tallied.statement, tallied.tests()
    print(f"pending: {' '.join(statement.pending) or 'none'} ({len(statement.pending)} of 4 toward the next unit)")
    following = statement.next_eligible
    said = [f"a test counts from {following.test_from}" if following.test_from else "no further test counts"]
    if following.dos_from:
        said.append(f"a unit may be dated from {following.dos_from}")
    print(f"next: {', '.join(said)}")
    if statement.not_covered:
        print_table(
            ("not covered", "date", "reason", "who bears it", "modifier", "words"),
            [
                (
                    refused.test,
                    tallied.day_of(tests[refused.test].taken_at),
                    refused.reason,
                    "" if refused.liability == "none" else refused.liability,
                    refused.modifier,
                    refused.words,
                )
                for refused in statement.not_covered
            ],
        )
    if statement.missed_weeks:
        print(f"missed weeks, from Sunday: {dates(' '.join(map(str, statement.missed_weeks)))}")
    for notice in statement.notices:
        print(f"notice: {notice}")


def as_json(
    statement: Statement,
    claimed: Sequence[str | None],
    cautions: Sequence[Caution],
    about_biller: Sequence[str],
) -> dict[str, Any]:
    """A statement as plain JSON values, with what stands beside it.

    Args:
        statement: the tally.
        claimed: names the claim of each unit that has one.
        cautions: about services beside the units.
        about_biller: why the units may not be this house's to bill.
    """
    following = statement.next_eligible
    return {
        "as_of": str(statement.as_of),
        "policy": statement.policy,
        "units": [
            {**unit._asdict(), "fraction": unit.fraction, "claim": claim}
            | {name: str(getattr(unit, name)) for name in ("first_test", "last_test", "billable_from", "file_by")}
            for unit, claim in zip(statement.units, claimed, strict=True)
        ],
        "pending": list(statement.pending),
        "not_covered": [
            {
                "test": each.test,
                "reason": each.reason,
                "liability": each.liability,
                "modifier_if_claimed": each.modifier,
                "words": each.words,
            }
            for each in statement.not_covered
        ],
        "next_eligible": {
            "test_from": None if following.test_from is None else str(following.test_from),
            "dos_from": None if following.dos_from is None else str(following.dos_from),
        },
        "missed_weeks": [str(week) for week in statement.missed_weeks],
        "notices": [*statement.notices, *about_biller],
        "cautions": [
            {"rule": each.rule, "date": str(each.date), "test": each.test, "words": each.words} for each in cautions
        ],
    }


def _explain(arguments: argparse.Namespace) -> int:
    from gateway.reporting.claims.beside import beside_units
    from gateway.reporting.claims.errors import ClaimError
    from gateway.reporting.facts import facts_of
    from gateway.reporting.units import explain

    with opened(arguments) as (configuration, database):
        tallied = made(arguments, configuration, database, trace=True)
        facts = facts_of(database, arguments.patient)
        cautions = beside_units(facts, tallied.statement.as_of, configuration.server.role)
    subjects = list(dict.fromkeys(step.subject for step in tallied.statement.trace or ()))
    wanted = subjects if arguments.subject is None else [_subject(arguments.subject)]
    for subject in wanted:
        if subject not in subjects:
            raise ClaimError(_none(arguments, tallied, subjects))
        print(f"{subject}:")
        for line in explain(tallied.statement, subject, tallied.policy):
            print(f"  {line}")
        for caution in cautions:
            if caution.test in _about(subject, tallied):
                print(f"  {caution.line}")
    besides = [caution.line for caution in cautions if caution.test not in subjects]
    if besides and arguments.subject is None:
        print("\n  ".join(["beside the units:", *besides]))
    return 0


def _about(subject: str, tallied: Tallied) -> tuple[str, ...]:
    """The test itself, or the tests of a physician's unit, which other codes may pay again (rule R32)."""
    if not subject.startswith("unit "):
        return (subject,)
    unit = tallied.statement.units[int(subject.removeprefix("unit ")) - 1]
    return unit.tests if unit.code == "G0250" else ()


def _subject(text: str) -> str:
    """``unit 1`` however it is written; the number of a test as it is."""
    unit = re.fullmatch(r"\s*unit\s*0*(\d+)\s*", text, re.IGNORECASE)
    return f"unit {unit[1]}" if unit else text.strip()


def _none(arguments: argparse.Namespace, tallied: Tallied, subjects: Sequence[str]) -> str:
    tests = [subject for subject in subjects if not subject.startswith("unit ")]
    units = [subject for subject in subjects if subject.startswith("unit ")]
    there = [f"tests {' '.join(tests)}" if tests else "no tests", ", ".join(units) or "no units"]
    return (
        f"patient {arguments.patient}: nothing was decided about {arguments.subject!r} as of "
        f"{tallied.statement.as_of}; there are {' and '.join(there)}"
    )
