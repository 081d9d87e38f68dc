"""What each action of ``inr-gateway units`` is told."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.opened import add_config

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # argparse has no public name

__all__ = ["WEEKDAYS", "WORKLISTS", "claiming", "listing", "looking"]

WORKLISTS = {
    "ready": "units to be signed and exported",
    "held": "units, claims and tests that wait for a person, with the reason",
    "aging": "units with three, two or one of four tests",
    "missed-week": "not tested, not reported, not acknowledged",
    "ending": "services that have ended, with their partial units",
    "orders": "orders that end soon, have ended or are missing",
    "filing": "last days for claims",
    "interval": "tests that came off the interval that their order names",
    "extras": "tests beside the units, and who bears them",
    "practices": "reviews toward G0250 by practice, beside the supplier's count",
    "pattern": "share of early, manual and late tests and of errors",
    "supplies": "strips on hand, refills",
    "beside": "G0248, 93792, 93793 and home heparin beside the units, where a person should look",
}
WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


def looking(actions: Actions) -> None:
    """Declare ``statement``, ``explain`` and ``evaluate``."""
    statement = actions.add_parser(
        "statement",
        help="a patient's units, pending tests, and why each other test does not count",
        description="The tally of one patient. It proposes; a biller signs. Nothing is ever submitted.",
    )
    explain = actions.add_parser("explain", help="every decision about one test or unit, rule by rule")
    for action in (statement, explain):
        add_config(action)
        _patient(action)
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


def claiming(actions: Actions) -> None:
    """Declare ``sign``, ``export``, ``claims``, ``void``, ``replace``, ``denials`` and ``packet``."""
    sign = actions.add_parser(
        "sign",
        help="sign one unit, with every review flag accepted by name, or a list of units without flags",
        description="Only a complete unit whose date of service has come can be signed. The signature is on its "
        "exact content: if the unit changes before it is exported, it must be signed again.",
    )
    add_config(sign)
    _patient(sign, optional=True)
    sign.add_argument("unit", type=_unit, nargs="?", metavar="UNIT", help="its number in the statement")
    sign.add_argument(
        "--from",
        type=Path,
        dest="listed",
        metavar="READY.csv",
        help="sign the units of 'worklist ready --csv' that a person left in the file: all, or none if one changed",
    )
    _act(sign)
    _accept(sign)
    export = actions.add_parser(
        "export",
        help="make claims of the signed units and write them to a folder",
        description="Writes claims.json and claims.csv of all claims that no payer has answered, and for each one "
        "its JSON and its service lines for 837P (005010X222A1) and 837I. The same claims give the same files. "
        "Nothing is ever submitted. Exit 1 when a signature holds no longer.",
    )
    add_config(export)
    export.add_argument("--patient", metavar="ID", help="only this patient's")
    export.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="made if it is not there")
    export.add_argument("--by", required=True, metavar="NAME", help="who exports; kept with each claim")
    _prices(export)
    claims = actions.add_parser("claims", help="list claims and what became of them")
    add_config(claims)
    claims.add_argument("--patient", metavar="ID", help="only this patient's")
    claims.add_argument("--state", choices=("exported", "denied", "paid", "void", "replaced"), help="only these")
    _form(claims)
    void = actions.add_parser("void", help="void a claim (frequency code 8); its tests are free again")
    replace = actions.add_parser(
        "replace", help="replace a claim (frequency code 7) by the unit that its tests make now, and sign that"
    )
    for action in (void, replace):
        add_config(action)
        action.add_argument("claim", metavar="CLAIM", help="its id")
        _act(action, note_required=True)
    _accept(replace)
    _prices(replace)
    denials = actions.add_parser("denials", help="post the payer's answers back to the claims")
    of_denials = denials.add_subparsers(dest="denials_action", metavar="import", required=True)
    posting = of_denials.add_parser(
        "import",
        help="post a CSV",
        description="Columns: claim_id, posted_on, status (paid or denied), group, carc, rarc, amount, "
        "payer_control_number. All rows are posted or none; the same row again changes nothing.",
    )
    add_config(posting)
    posting.add_argument("file", type=Path, metavar="FILE.csv")
    posting.add_argument("--by", required=True, metavar="NAME", help="who posts; kept with each row")
    packet = actions.add_parser(
        "packet",
        help="write the audit packet of one unit: a PDF and a manifest of digests beside it",
        description="The same facts give the same octets, on any day and any machine.",
    )
    add_config(packet)
    _patient(packet)
    packet.add_argument("unit", type=_unit, metavar="UNIT", help="its number in the statement")
    packet.add_argument("--to", type=Path, required=True, metavar="FILE.pdf")


def listing(actions: Actions) -> None:
    """Declare ``worklist``, ``what-if`` and ``recompute``."""
    worklist = actions.add_parser(
        "worklist",
        help="what the billing desk has to do",
        epilog="; ".join(f"{name}: {words}" for name, words in WORKLISTS.items()),
    )
    add_config(worklist)
    worklist.add_argument("name", choices=tuple(WORKLISTS), metavar="NAME", help=", ".join(WORKLISTS))
    _as_of(worklist)
    _service(worklist)
    worklist.add_argument(
        "--within",
        type=_days,
        metavar="DAYS",
        help="orders, filing: days ahead (default 30, 90); ending: days back of what has nothing left "
        "(default 90); interval, extras: days back (default all)",
    )
    worklist.add_argument(
        "--tolerance", type=_days, default=1, metavar="DAYS", help="interval: days not worth showing; default 1"
    )
    worklist.add_argument(
        "--weekday",
        choices=WEEKDAYS,
        default="thursday",
        help="missed-week: from which day on the running week is asked about; default %(default)s",
    )
    worklist.add_argument(
        "--shipping-days", type=_days, default=0, metavar="DAYS", help="supplies: that a parcel takes; default 0"
    )
    _prices(worklist)
    _form(worklist)
    what_if = actions.add_parser("what-if", help="what another policy would make of the same facts")
    add_config(what_if)
    who = what_if.add_mutually_exclusive_group(required=True)
    who.add_argument("patient", nargs="?", help="the patient's id")
    who.add_argument("--all", action="store_true", help="every patient")
    what_if.add_argument(
        "--policy", required=True, metavar="ID", help="its id, or its name for the version in force"
    )
    _as_of(what_if)
    _form(what_if)
    recompute = actions.add_parser(
        "recompute",
        help="tally all patients in one pass and keep what came out",
        description="Compares with the tallies that were kept for the same day; exit 1 when one differs although "
        "nothing was written since.",
    )
    add_config(recompute)
    recompute.add_argument("--as-of", type=_day, required=True, metavar="DAY", help="local day (YYYY-MM-DD)")
    recompute.add_argument(
        "--changed", action="store_true", help="only patients about whom something was written since their tally"
    )


def _patient(action: argparse.ArgumentParser, *, optional: bool = False) -> None:
    action.add_argument("patient", nargs="?" if optional else None, help="the patient's id")
    _as_of(action)
    action.add_argument(
        "--period", type=int, metavar="N", help="number of the payer's period, from 1; default: that of the day"
    )
    _service(action)


def _service(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--service",
        choices=("G0249", "G0250"),
        default="G0249",
        help="whose side: G0249 the supplier's, G0250 the physician's review of four tests; default: %(default)s",
    )


def _as_of(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--as-of", type=_day, metavar="DAY", help="local day (YYYY-MM-DD); default: today in the patient's zone"
    )


def _act(action: argparse.ArgumentParser, *, note_required: bool = False) -> None:
    action.add_argument("--by", required=True, metavar="NAME", help="who decides it; kept with the decision")
    action.add_argument("--note", default="", required=note_required, help="why")


def _accept(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--accept", action="append", default=[], metavar="FLAG", help="a review flag; may be given several times"
    )


def _prices(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--prices", type=Path, metavar="FILE", help="price table; default: prices.toml beside server.toml"
    )


def _form(action: argparse.ArgumentParser) -> None:
    form = action.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object per line")
    form.add_argument("--csv", action="store_true", help="CSV with a header")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write it like 2026-03-14") from None


def _days(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days; write it like 30")
    return int(text)


def _unit(text: str) -> int:
    number = text.removeprefix("unit").strip()
    if not number.isdecimal() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no unit; write its number in the statement, like 1")
    return int(number)
