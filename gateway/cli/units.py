"""``inr-gateway units``: tests toward units of service, each decision with its reason."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gateway.cli.opened import add_config, opened

if TYPE_CHECKING:
    from gateway.reporting.units import Statement

__all__ = ["add_arguments", "as_json", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    statement = actions.add_parser(
        "statement",
        help="a patient's units, pending tests, and why each other test does not count",
        description="The tally of one patient. It proposes; a biller signs. Nothing is ever submitted.",
    )
    explain = actions.add_parser("explain", help="every decision about one test or unit, rule by rule")
    for action in (statement, explain):
        add_config(action)
        action.add_argument("patient", help="the patient's id")
        action.add_argument(
            "--as-of", type=_day, metavar="DAY", help="local day (YYYY-MM-DD); default: today in the patient's zone"
        )
    statement.add_argument("--json", action="store_true", help="print one JSON object")
    explain.add_argument("subject", nargs="?", help="number of a result, or 'unit 1'; default: all")
    evaluate = actions.add_parser(
        "evaluate",
        help="compute golden cases and compare them with what they expect",
        description="Reads a file of cases (format of the golden cases) and prints the computed statement of each "
        "case and of each of its policy variants as JSON; with --check only the differences, exit 1 if any.",
    )
    evaluate.add_argument("cases", type=Path, metavar="CASES.json")
    evaluate.add_argument(
        "--case", action="append", metavar="ID", help="only this case; may be given several times"
    )
    evaluate.add_argument("--check", action="store_true", help="compare with what the cases expect")


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 refused or different, 2 not understood."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError
    from gateway.reporting.statements import StatementError
    from gateway.reporting.units import UnitsError

    try:
        return {"statement": _statement, "explain": _explain, "evaluate": _evaluate}[arguments.action](arguments)
    except ConfigurationError as error:
        print(f"inr-gateway units: {error}", file=sys.stderr)
        return 2
    except (StoreError, StatementError, UnitsError) as error:
        print(f"inr-gateway units: {error}", file=sys.stderr)
        return 1


def _statement(arguments: argparse.Namespace) -> int:
    from gateway.cli.tables import print_table

    statement, _ = _made(arguments, trace=False)
    if arguments.json:
        print(json.dumps(as_json(statement), indent=2))
        return 0
    print(f"patient {arguments.patient}, as of {statement.as_of}, policy {statement.policy}")
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
            {"test": each.test, "reason": each.reason, "liability": each.liability, "words": each.words}
            for each in statement.not_covered
        ],
        "missed_weeks": [str(week) for week in statement.missed_weeks],
        "notices": list(statement.notices),
    }


def _explain(arguments: argparse.Namespace) -> int:
    from gateway.reporting.units import explain

    statement, policy = _made(arguments, trace=True)
    subjects = dict.fromkeys(step.subject for step in statement.trace or ())
    for subject in [arguments.subject] if arguments.subject else subjects:
        print(f"{subject}:")
        for line in explain(statement, subject, policy):
            print(f"  {line}")
    return 0


def _made(arguments: argparse.Namespace, *, trace: bool) -> tuple[Any, Any]:
    from gateway.reporting.statements import statement_of
    from gateway.store.tested import zones

    with opened(arguments) as (configuration, database):
        as_of = arguments.as_of
        if as_of is None:
            history = zones(database, arguments.patient)
            here = ZoneInfo(history[-1][1] if history else "UTC")
            as_of = configuration.clock().now().astimezone(here).date()
        return statement_of(database, arguments.patient, as_of, configuration.server.role, trace=trace)


def _evaluate(arguments: argparse.Namespace) -> int:
    from gateway.reporting.policies import shipped_diagnoses
    from gateway.reporting.units.cases import evaluate
    from gateway.reporting.units.errors import BadValueError

    try:
        document = json.loads(arguments.cases.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"inr-gateway units: {arguments.cases}: cannot be read as JSON: {error}", file=sys.stderr)
        return 2
    if not isinstance(document, dict):
        raise BadValueError(str(arguments.cases), "is no JSON object", "give a file of cases")
    computed = differing = 0
    for name in arguments.case or [None]:
        for each in evaluate(document, shipped_diagnoses(), name):
            computed += 1
            differing += bool(each.differences)
            if not arguments.check:
                print(json.dumps({"case": each.case, "policy": dict(each.variant), "expected": each.computed}))
            for line in each.differences if arguments.check else ():
                print(f"{each.case} {dict(each.variant) or ''}: {line}")
    if arguments.check:
        print(f"{computed} statements computed, {differing} differ from what is expected")
    return 1 if arguments.check and differing else 0


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write it like 2026-03-14") from None
