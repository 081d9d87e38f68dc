"""What a document must not contradict: patients and results, the calendar, and the documents that hold."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway.clock import moment
from gateway.reporting.documents import kinds
from gateway.reporting.documents.kinds import Paper
from gateway.reporting.documents.papers import read_body
from gateway.reporting.units import ZoneChange
from gateway.reporting.units.calendar import zones
from gateway.store import documents, people, quarantine, registry, results

__all__ = ["Fault", "faults"]

EARLIEST_ZONE = "Etc/GMT-14"
"""For a patient without a zone of record: where on earth each day begins first."""


class Fault(NamedTuple):
    """What is wrong with a document: in which column, what, and the remedy.

    Attributes:
        against: number of the document that it contradicts, or None; `what` then ends before naming it.
    """

    column: str | None
    what: str
    remedy: str = ""
    against: int | None = None


def faults(
    database: sqlite3.Connection, kind: str, paper: Paper, now: dt.datetime, *, instead_of: int | None = None
) -> Iterator[Fault]:
    """Everything that speaks against recording a document.

    Args:
        database: the store.
        kind: name of the paper's kind.
        paper: what is to be recorded.
        now: the instant of recording.
        instead_of: the document that it supersedes, which is left aside.
    """
    if not registry.exists(database, "patients", paper.patient):
        yield Fault(
            "patient", f"there is no patient {paper.patient}", "import the patient first ('registry import')"
        )
        return
    here = _here(people.zones(database, paper.patient), now)
    yield from _future(paper, here)
    number = paper.about_result()
    if number is not None:
        yield from _result(database, paper, number, here.tzinfo)
    yield from _illegible(paper)
    if not _may_contradict(paper):
        return
    result = paper.result if isinstance(paper, kinds.OfResult) else None
    for row in documents.listing(database, paper.patient, kind=kind, result=result):
        if row.id == instead_of:
            continue
        against = _against(paper, read_body(kind, paper.patient, row.body))
        if against is not None:
            yield Fault(*against, against=row.id)


def _illegible(paper: Paper) -> Iterator[Fault]:
    """What no keyboard writes and no paper shows. In longer texts lines may end."""
    for name, value in paper:
        if isinstance(value, str) and any(sign < " " or sign == "\x7f" for sign in value if sign not in "\n\r\t"):
            yield Fault(name.rstrip("_"), "holds a control character", "write it anew, in plain letters")


def _here(history: Sequence[people.ZoneFrom], now: dt.datetime) -> dt.datetime:
    """Now in the patient's zone: one that begins next month is not the patient's yet."""
    if not history:
        return now.astimezone(ZoneInfo(EARLIEST_ZONE))
    changes = tuple(ZoneChange(dt.date.fromisoformat(each.from_date), each.zone) for each in history)
    return zones(history[0].zone, changes).local(now)


def _future(paper: Paper, now: dt.datetime) -> Iterator[Fault]:
    names = paper.NOT_LATER
    if isinstance(paper, kinds.Event) and paper.type == "death":
        names = ("date",)
    for name in names:
        value = getattr(paper, name)
        if isinstance(value, dt.datetime):
            later = value > now if value.tzinfo else value > now.replace(tzinfo=None)
        else:
            later = value is not None and value > now.date()
        if later:
            yield Fault(name, "lies in the future", "correct it: what has not happened yet is no fact")


def _result(database: sqlite3.Connection, paper: Paper, number: int, here: dt.tzinfo | None) -> Iterator[Fault]:
    known = results.by_id(database, number)
    remedy = f"see 'results list --patient {paper.patient}'"
    if known is None:
        yield Fault("result", f"there is no result {number}", remedy)
        return
    version = results.latest_version(database, known.id)
    if version is None or version["patient_id"] != paper.patient or version["status"] == "retracted":
        yield Fault("result", f"result {number} is no result of patient {paper.patient}", remedy)
        return
    if quarantine.dismissed(database, known.id):
        what = f"result {number} was dismissed, and shall never be counted"
        yield Fault("result", what, f"if it is wanted after all: 'results restore {number}'")
        return
    earliest = moment(version["taken_at"]) - dt.timedelta(seconds=version["uncertainty_s"])
    if isinstance(paper, kinds.Review):
        reviewed = paper.reviewed_at
        if reviewed.tzinfo is None:
            reviewed = reviewed.replace(tzinfo=here)
        if reviewed < earliest:
            yield Fault("reviewed_at", "lies before the test was taken", "correct it, or name another result")
    elif isinstance(paper, kinds.BilledService):
        taken_on = _here(people.zones(database, paper.patient), earliest).date()
        if paper.date < taken_on:
            yield Fault("date", "lies before the test was taken", "correct it, or name another result")


def _may_contradict(paper: Paper) -> bool:
    """Whether a paper of this kind can speak against another one; of the other kinds there may be thousands."""
    if isinstance(paper, kinds.Event):
        return paper.type == "death"
    return isinstance(paper, kinds.OfResult | kinds.Valve | kinds.Coverage | kinds.Span)


def _against(paper: Paper, other: Paper) -> tuple[str | None, str] | None:
    """Column and words when two documents of one patient and kind cannot both hold."""
    match paper, other:
        case kinds.OfResult(), kinds.OfResult() if paper.result == other.result:
            return "result", f"result {paper.result} has a paper of this kind already:"
        case kinds.Valve(), kinds.Valve():
            return "type", "the valve is recorded already:"
        case kinds.Event(), kinds.Event() if paper.type == other.type == "death":
            return "type", "the death is recorded already:"
        case kinds.Coverage(), kinds.Coverage():
            first, second = sorted((paper, other), key=lambda each: each.from_)
            if first.from_ == second.from_:
                return "from", "another coverage begins on the same day:"
            if first.to is not None and second.from_ <= first.to:
                return "from", "two coverages hold on the same day:"
        case kinds.Anticoagulant(), kinds.Anticoagulant() if paper.drug != other.drug:
            return None
        case kinds.Span(), kinds.Span() if _overlap(paper, other):
            return "start", "two such times overlap:"
    return None


def _overlap(one: kinds.Span, two: kinds.Span) -> bool:
    first, second = sorted((one, two), key=lambda each: each.start)
    return first.end is None or second.start <= first.end
