"""Rows of a list as a table, as CSV or as JSON lines."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import re
import sys
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from gateway.cli.tables import print_table

__all__ = ["dates", "print_rows"]

_TESTS: Final = re.compile(r"tests( \d+){5,}")
_DATES: Final = re.compile(r"\d{4}-\d\d-\d\d( \d{4}-\d\d-\d\d)+")


def print_rows(
    arguments: argparse.Namespace,
    columns: Sequence[str],
    rows: Sequence[NamedTuple],
    none: str,
    *,
    aside: Collection[str] = (),
) -> None:
    """Print rows in the form that ``--json`` or ``--csv`` asks for; a table otherwise, or `none` for no rows.

    A table is for people: it leaves out the columns `aside`, and of a row of dates says each year once.
    """
    if arguments.json:
        for row in rows:
            print(json.dumps({name: _plain(value) for name, value in zip(columns, row, strict=True)}))
    elif arguments.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([["" if value is None else value for value in row] for row in rows])
    elif rows:
        shown = [place for place, name in enumerate(columns) if name not in aside]
        print_table(
            [columns[place].replace("_", " ") for place in shown],
            [[_several(dates(row[place])) for place in shown] for row in rows],
        )
    else:
        print(none)


def dates(value: object) -> object:
    """A row of dates with each year said once, ``2026-01-12 01-19 01-26``; whatever else it is unchanged."""
    if not isinstance(value, str) or not _DATES.fullmatch(value):
        return value
    days = value.split()
    return " ".join(day if at == 0 or day[:5] != days[at - 1][:5] else day[5:] for at, day in enumerate(days))


def _several(value: object) -> object:
    """Many tests by the first and the last: ``13 tests, 481 to 493``."""
    if not isinstance(value, str) or not _TESTS.fullmatch(value):
        return value
    _, *tests = value.split()
    return f"{len(tests)} tests, {tests[0]} to {tests[-1]}"


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.date) else value
