"""Rows of a list as a table, as CSV or as JSON lines."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import sys
from collections.abc import Sequence
from typing import NamedTuple

from gateway.cli.tables import print_table

__all__ = ["print_rows"]


def print_rows(
    arguments: argparse.Namespace, columns: Sequence[str], rows: Sequence[NamedTuple], none: str
) -> None:
    """Print rows in the form that ``--json`` or ``--csv`` asks for; a table otherwise, or `none` for no rows."""
    if arguments.json:
        for row in rows:
            print(json.dumps({name: _plain(value) for name, value in zip(columns, row, strict=True)}))
    elif arguments.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([["" if value is None else value for value in row] for row in rows])
    elif rows:
        print_table([name.replace("_", " ") for name in columns], rows)
    else:
        print(none)


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.date) else value
