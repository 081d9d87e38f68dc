"""``inr-gateway patients``: who is live, which limits hold and where they come from, how the INR has been."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Any

from gateway.cli.opened import add_config, opened

if TYPE_CHECKING:
    import sqlite3

    from gateway.reporting.summary import Summary
    from gateway.server.configuration import ServerConfiguration

__all__ = ["add_arguments", "run"]

NAME = "inr-gateway patients"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list", help="list who is live", description="Lists all patients, and what each still lacks to go live."
    )
    add_config(listing)
    listing.add_argument("--json", action="store_true", help="one JSON object per patient")

    limits = actions.add_parser(
        "limits",
        help="which limits hold, and where they were stated",
        description="Shows target range and critical limits with the level that stated them: patient before "
        "provider before clinic. They are stated by 'registry import' (limits.csv).",
    )
    add_config(limits)
    limits.add_argument("patient", metavar="PATIENT")
    limits.add_argument("--on", type=dt.date.fromisoformat, metavar="DAY", help="on this local day; default today")
    limits.add_argument("--json", action="store_true", help="one JSON object")

    live = actions.add_parser(
        "go-live",
        help="put patients live",
        description="Checks that limits, treatment, meter, zone and the people to be told are there, and writes "
        "down who put the patient live.",
    )
    add_config(live)
    live.add_argument("patient", metavar="PATIENT", nargs="+")
    live.add_argument("--by", required=True, metavar="NAME", help="who answers for it")
    live.add_argument("--note", default="")

    down = actions.add_parser("stand-down", help="take a patient out", description="The patient is no longer live.")
    add_config(down)
    down.add_argument("patient", metavar="PATIENT")
    down.add_argument("--by", required=True, metavar="NAME", help="who decides")
    down.add_argument("--note", required=True, help="why")

    summary = actions.add_parser(
        "summary",
        help="time in range and variability",
        description="Time in range by Rosendaal in continuous time, share of tests in range, Fihn's sigma; with "
        "the days they cover. Nothing is drawn before the first test, after the last, across a failed test or a "
        "long gap.",
    )
    add_config(summary)
    summary.add_argument("patient", metavar="PATIENT")
    summary.add_argument("--from", dest="first", type=dt.date.fromisoformat, metavar="DAY", help="first local day")
    summary.add_argument("--to", dest="last", type=dt.date.fromisoformat, metavar="DAY", help="last; default today")
    summary.add_argument("--days", type=int, default=180, help="without --from: so many days (default %(default)s)")
    summary.add_argument(
        "--gap", type=int, default=56, metavar="DAYS", help="longest interval (default %(default)s)"
    )
    summary.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Run the action: 0 done, 1 refused or not found, 2 the configuration or the arguments cannot be used."""
    from gateway.configuration import ConfigurationError
    from gateway.database import StoreError
    from gateway.reporting.alerts.going_live import GoLiveError
    from gateway.store.escalations import EscalationError

    actions = {
        "list": _list,
        "limits": _limits,
        "go-live": _go_live,
        "stand-down": _stand_down,
        "summary": _summary,
    }
    try:
        with opened(arguments) as (configuration, database):
            return actions[arguments.action](arguments, configuration, database)
    except ConfigurationError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 2
    except (StoreError, GoLiveError, EscalationError) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1


def _list(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.cli.tables import print_table
    from gateway.reporting.alerts.going_live import lacking
    from gateway.store import live

    now = configuration.clock().now()
    rows = [
        {
            "patient": each.patient_id,
            "live": bool(each.live),
            "since": each.at if each.live else None,
            "by": each.by_name,
            "lacks": lacking(database, each.patient_id, now),
        }
        for each in live.listing(database)
    ]
    if arguments.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        return 0
    print_table(
        ("PATIENT", "LIVE", "SINCE", "BY", "LACKS"),
        [
            (row["patient"], "live" if row["live"] else "", row["since"], row["by"], _joined(row["lacks"]))
            for row in rows
        ],
    )
    return 0


def _joined(texts: Any) -> str:
    return "; ".join(texts)


def _limits(arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection) -> int:
    from gateway.clock import utc
    from gateway.reporting.alerts.configuration import NOT_STATED
    from gateway.reporting.limits import GOALS, SUGGESTED_CRITICAL, local_day
    from gateway.store import limits

    if not _known(database, arguments.patient):
        return 1
    now = configuration.clock().now()
    day = arguments.on or local_day(database, arguments.patient, now)
    at = now if arguments.on is None else dt.datetime.combine(day, dt.time(12), dt.UTC)
    found = limits.numbers(database, arguments.patient, day, utc(at))
    if not configuration.intended_use.stated:
        print(f"{NAME}: {NOT_STATED}", file=sys.stderr)
    pairs = {"target": found.target, "critical": found.critical}
    if arguments.json:
        shown = {
            name: pair and {"low": str(pair.low), "high": str(pair.high), "source": pair.source}
            for name, pair in pairs.items()
        }
        print(json.dumps({"patient": arguments.patient, "on": day.isoformat(), **shown, "missing": found.missing}))
        return 0
    for name, pair in pairs.items():
        said = "not stated" if pair is None else f"{pair.low} to {pair.high}, stated for the {pair.source}"
        print(f"{name:<10} {said}")
    for each in found.missing:
        print(f"missing    {each}")
    if found.target is None:
        print(f"suggested  targets in common use: {', '.join(f'{low}-{high}' for low, high in GOALS)}")
    if found.critical is None:
        low, high = SUGGESTED_CRITICAL
        print(f"suggested  critical limits {low} and {high} are common; nothing holds until somebody states it")
    return 0


def _known(database: sqlite3.Connection, patient: str) -> bool:
    from gateway.store import proof

    if proof.person(database, patient) is not None:
        return True
    print(f"{NAME}: no patient {patient!r}; see 'registry list patients'", file=sys.stderr)
    return False


def _go_live(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> int:
    from gateway.database import transaction
    from gateway.reporting.alerts.configuration import NOT_STATED
    from gateway.reporting.alerts.going_live import GoLiveError, go_live

    refused, now = 0, configuration.clock().now()
    for patient in arguments.patient:
        try:
            with transaction(database):
                new = go_live(database, patient, arguments.by, now, arguments.note)
            print(f"patient {patient} is live" if new else f"patient {patient} was live already")
        except GoLiveError as error:
            print(f"{NAME}: {error}", file=sys.stderr)
            refused += 1
    if not configuration.intended_use.stated:
        print(f"{NAME}: {NOT_STATED}", file=sys.stderr)
    return int(refused > 0)


def _stand_down(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> int:
    from gateway.database import transaction
    from gateway.reporting.alerts.going_live import stand_down

    with transaction(database):
        stand_down(database, arguments.patient, arguments.by, configuration.clock().now(), arguments.note)
    print(f"patient {arguments.patient} is no longer live")
    return 0


def _summary(
    arguments: argparse.Namespace, configuration: ServerConfiguration, database: sqlite3.Connection
) -> int:
    from gateway.reporting.alerts.configuration import NOT_STATED
    from gateway.reporting.history import summary_of
    from gateway.reporting.limits import local_day

    if not configuration.intended_use.stated:
        print(f"{NAME}: {NOT_STATED}", file=sys.stderr)
        return 1
    if not _known(database, arguments.patient):
        return 1
    last = arguments.last or local_day(database, arguments.patient, configuration.clock().now())
    first = arguments.first or last - dt.timedelta(days=arguments.days - 1)
    if first > last or arguments.gap < 1:
        print(f"{NAME}: --from must not lie after --to, and --gap must be 1 or more", file=sys.stderr)
        return 2
    found = summary_of(
        database, arguments.patient, configuration.server.role, first, last, gap_limit_days=arguments.gap
    )
    figures = _figures(found)
    if arguments.json:
        whose = {"patient": arguments.patient, "from": first.isoformat(), "to": last.isoformat()}
        print(json.dumps({**whose, **figures}))
        return 0
    print(f"patient {arguments.patient}, {first} to {last}")
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):<30} {'-' if value is None else value}")
    return 0


def _figures(found: Summary) -> dict[str, Any]:
    from fractions import Fraction

    from gateway.reporting.summary import percent, shown

    inside, judged = found.tests_in_range
    return {
        "first_test": found.first and found.first.isoformat(),
        "last_test": found.last and found.last.isoformat(),
        "tests": found.tests,
        "results": found.results,
        "failed_tests": found.failed,
        "off_scale_at_limit": found.off_scale,
        "time_in_range_rosendaal": percent(found.in_range.share),
        "covered_days": shown(found.in_range.covered, 1),
        "time_in_range_by_day_count": percent(found.by_day.share),
        "tests_in_range": percent(Fraction(inside, judged) if judged else None),
        "intervals_used": found.intervals,
        "intervals_left_out": found.left_out,
        "gap_limit_days": found.gap_limit_days,
        "fihn_sigma": shown(found.fihn_sigma),
        "variance_growth_rate": shown(found.growth_rate),
        "standard_deviation": shown(found.deviation),
    }
