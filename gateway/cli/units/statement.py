"""``units statement`` and ``units explain``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from gateway.cli.opened import opened
from gateway.cli.tables import print_table
from gateway.cli.units.opening import made

if TYPE_CHECKING:
    from gateway.reporting.units import Statement

__all__ = ["as_json", "run"]


def run(arguments: argparse.Namespace) -> int:
    """Print a statement, or explain it."""
    return _statement(arguments) if arguments.action == "statement" else _explain(arguments)


def _statement(arguments: argparse.Namespace) -> int:
    from gateway.reporting.claims.tallied import periods_in
    from gateway.reporting.facts import facts_of

    with opened(arguments) as (configuration, database):
        tallied = made(arguments, configuration, database, trace=False)
        periods = periods_in(facts_of(database, arguments.patient))
    statement = tallied.statement
    if arguments.json:
        print(json.dumps(as_json(statement), indent=2))
        return 0
    print(f"patient {arguments.patient}, as of {statement.as_of}, policy {statement.policy}")
    if len(periods) > 1:
        print(f"payer's period {tallied.number} of {len(periods)}: {tallied.period.payer} (--period shows another)")
    if statement.units:
        print_table(
            ("unit", "code", "tests", "first", "last", "billable from", "status", "file by", "review"),
            [
                (
                    number,
                    "-".join([unit.code, *unit.modifiers]),
                    " ".join(unit.tests),
                    unit.first_test,
                    unit.last_test,
                    unit.billable_from,
                    unit.status,
                    unit.file_by,
                    " ".join(unit.review_flags),
                )
                for number, unit in enumerate(statement.units, start=1)
            ],
        )
    print(f"pending: {' '.join(statement.pending) or 'none'} ({len(statement.pending)} of 4 toward the next unit)")
    for refused in statement.not_covered:
        print(f"not covered: {refused.test}  {refused.reason}  {refused.words}")
    for week in statement.missed_weeks:
        print(f"missed week: from Sunday {week}")
    for notice in statement.notices:
        print(f"notice: {notice}")
    return 0


def as_json(statement: Statement) -> dict[str, Any]:
    """A statement as plain JSON values."""
    following = statement.next_eligible
    return {
        "as_of": str(statement.as_of),
        "policy": statement.policy,
        "units": [
            {**unit._asdict(), "fraction": unit.fraction}
            | {name: str(getattr(unit, name)) for name in ("first_test", "last_test", "billable_from", "file_by")}
            for unit in statement.units
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
        "notices": list(statement.notices),
    }


def _explain(arguments: argparse.Namespace) -> int:
    from gateway.reporting.units import explain

    with opened(arguments) as (configuration, database):
        tallied = made(arguments, configuration, database, trace=True)
    subjects = dict.fromkeys(step.subject for step in tallied.statement.trace or ())
    for subject in [arguments.subject] if arguments.subject else subjects:
        print(f"{subject}:")
        for line in explain(tallied.statement, subject, tallied.policy):
            print(f"  {line}")
    return 0
