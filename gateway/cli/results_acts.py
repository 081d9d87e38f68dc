"""``inr-gateway results retract | restore | move | correct``: a named person corrects what was told."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from gateway.cli import results_correct
from gateway.cli.opened import add_config, opened

if TYPE_CHECKING:
    import sqlite3

    from gateway.server.configuration import ServerConfiguration

__all__ = ["ACTS", "add_arguments", "run"]

ACTS = ("retract", "restore", "move", "correct")


def add_arguments(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the four actions."""
    retract = actions.add_parser(
        "retract",
        help="take a result back: not this patient's, or no valid test",
        description="Whoever was told of the result is told that it is withdrawn, also who treats the patient no "
        "more; it no longer counts. It stays in the store, and 'results restore' has it stand again.",
    )
    add_config(retract)
    _result(retract)
    restore = actions.add_parser(
        "restore",
        help="have a result stand again that was taken back or dismissed",
        description="It is reported anew, as it was before, to whoever is to know of it.",
    )
    add_config(restore)
    _result(restore)
    restore.add_argument(
        "--to", metavar="PATIENT", help="whose test it is, where the registry says otherwise by now"
    )
    move = actions.add_parser(
        "move",
        help="somebody else used the meter: these tests are another patient's",
        description="Takes the results back where they were reported, and reports them as the other patient's; all "
        "of them, or none. If the meter itself was assigned wrongly: 'registry import --correct'.",
    )
    add_config(move)
    move.add_argument("result", type=int, nargs="+", metavar="RESULT", help="numbers, as 'results list' shows them")
    move.add_argument("--to", required=True, metavar="PATIENT", help="who did the tests")
    move.add_argument(
        "--taken-at", default="", metavar="TIME", help="of one result: when it was done, if that was wrong too"
    )
    correct = actions.add_parser(
        "correct",
        help="correct the time of a test, or what was entered by hand",
        description="Of any result the time of the test (the meter's clock was wrong); of one that was entered by "
        "hand also the value and the meter. What a meter measured is never altered.",
    )
    results_correct.add_arguments(correct)
    for action in (retract, restore, move, correct):
        action.add_argument("--by", required=True, metavar="NAME", help="who decides")
        action.add_argument("--why", required=True, metavar="TEXT", help="the reason; it is kept with the decision")


def _result(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("result", type=int, metavar="RESULT", help="its number, as 'results list' shows it")


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 refused; then nothing has changed."""
    from gateway.cli.results_form import EntryError
    from gateway.server.copies import DecisionError

    try:
        with opened(arguments) as (configuration, database):
            said = _act(arguments, configuration, database)
    except (DecisionError, EntryError) as error:
        print(f"inr-gateway results: {error}; nothing was changed", file=sys.stderr)
        return 1
    for line in said:
        print(line)
    return 0


def _act(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> list[str]:
    by, why, now = arguments.by, arguments.why, configuration.clock().now()
    if arguments.action == "move":
        return _move(arguments, database, configuration)
    if arguments.action == "correct":
        changes = results_correct.Changes(
            arguments.inr.strip(),
            arguments.taken_at.strip(),
            arguments.meter.strip(),
            arguments.attest.strip(),
            arguments.another,
        )
        return [results_correct.correct(database, arguments.result, changes, by, why, now)]
    from gateway.server.retraction import restore, retract

    if arguments.action == "retract":
        return [retract(database, arguments.result, by, why, now)]
    return [restore(database, arguments.result, by, why, now, configuration.safety, arguments.to)]


def _move(
    arguments: argparse.Namespace, database: sqlite3.Connection, configuration: ServerConfiguration
) -> list[str]:
    from gateway.cli.results_form import EntryError, time_of_test
    from gateway.server.book import Book
    from gateway.server.moving import move

    now, taken_at = configuration.clock().now(), None
    if arguments.taken_at:
        if len(set(arguments.result)) > 1:
            raise EntryError("--taken-at is the time of one test; name one result")
        taken_at = time_of_test(arguments.taken_at.strip(), Book(database).zones(arguments.to), now)
    return move(database, arguments.result, arguments.to, arguments.by, arguments.why, now, taken_at)
