"""``inr-gateway report``: one patient's results of a time on paper."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.opened import opened

if TYPE_CHECKING:
    import sqlite3

    from gateway.server.configuration import ServerConfiguration

__all__ = ["add_arguments", "run"]

DAYS = 182


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "The report shows the results with a trend picture; target range, flags and time in range too, where "
        "limits are on record and the supplier has stated the intended use. It is made anew each time and is no "
        "evidence of reporting: 'inr-gateway deliveries' shows what providers were sent."
    )
    parser.add_argument("patient", metavar="PATIENT", help="id, as 'registry list patients' shows it")
    parser.add_argument("--pdf", type=Path, required=True, metavar="FILE", help="where to write it (mode 0600)")
    parser.add_argument(
        "--from", dest="first", type=_day, metavar="DAY", help=f"first local day; {DAYS} days before"
    )
    parser.add_argument("--to", dest="last", type=_day, metavar="DAY", help="last local day; default today")
    parser.add_argument("--config", type=Path, default=Path("server.toml"), help="default %(default)s")
    parser.add_argument("--paper", choices=("letter", "a4"), default="letter", help="default %(default)s")
    parser.add_argument(
        "--font",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a TrueType font with letters that DejaVu Sans lacks (Chinese, Japanese, Korean, Thai)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the report: 0 done, 1 refused or no store, 2 the configuration or the days cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError
    from gateway.reporting.patient_report import PatientReportError

    try:
        with opened(arguments) as (configuration, database):
            return _write(arguments, configuration, database)
    except ConfigurationError as error:
        print(f"inr-gateway report: {error}", file=sys.stderr)
        return 2
    except (PatientReportError, StoreError) as error:
        print(f"inr-gateway report: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"inr-gateway report: {arguments.pdf}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1


def _write(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.reporting.limits import local_day
    from gateway.reporting.patient_report import patient_report

    now = configuration.clock().now()
    last = arguments.last or local_day(database, arguments.patient, now)
    first = arguments.first or last - dt.timedelta(days=DAYS)
    if first > last:
        print("inr-gateway report: --from must not lie after --to", file=sys.stderr)
        return 2
    database.execute("BEGIN")  # all tables tell of one moment
    try:
        octets = patient_report(
            database,
            configuration.server.role,
            arguments.patient,
            first,
            last,
            supplier=configuration.delivery.supplier,
            intended_use=configuration.intended_use,
            now=now,
            paper=arguments.paper,
            more_fonts=tuple(arguments.font),
        )
    finally:
        database.execute("ROLLBACK")
    _keep(arguments.pdf, octets)
    print(f"{arguments.pdf}: patient {arguments.patient}, {first} to {last}")
    return 0


def _keep(path: Path, octets: bytes) -> None:
    """Whole or not at all, and for nobody else's eyes."""
    half = path.with_name(f".{path.name}.part")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write it like 2026-03-14") from None
