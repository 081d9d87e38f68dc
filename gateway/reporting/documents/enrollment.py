"""From a patient's papers to the facts that the tally asks for (rules R26 to R29).

Where a patient has no paper of a kind, the registry's enrollment row counts: what was imported before there were
documents goes on to hold.

What was taken and what was diagnosed holds for its own days: a drug that was stopped, or begun anew, does not touch
the tests before. `Enrollment.anticoagulant` and `warfarin_start` tell of the day of the latest test, for people.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

from gateway.reporting.documents import kinds
from gateway.reporting.documents.coverage import Period
from gateway.reporting.documents.papers import Papers
from gateway.reporting.units import Enrollment, Order, Therapy, ZoneChange
from gateway.reporting.units.notices import is_heparin
from gateway.store.tested import Enrolled

__all__ = ["WARFARIN", "enrollment_of", "warfarin_since"]

WARFARIN = "warfarin"
NO_DRUG = "none on record"


def enrollment_of(
    papers: Papers, row: Enrolled | None, zones: Sequence[tuple[str, str]], period: Period, day: dt.date
) -> Enrollment:
    """The facts about one patient.

    Args:
        papers: the documents that hold.
        row: the registry's newest enrollment, or None.
        zones: history of the patient's zone of record, not empty.
        period: the payer's time that is tallied.
        day: local date of the latest test, or the as-of date where there is none.
    """
    trained_on, documented = _training(papers.of(kinds.Training), row)
    drug, since = _drug(papers, row, day)
    return Enrollment(
        tz=zones[0][1],
        tz_history=tuple(ZoneChange(dt.date.fromisoformat(start), name) for start, name in zones),
        payer=period.payer,
        mac=period.mac or None,
        covered_from=period.covered_from,
        diagnosis=_diagnosis(papers.of(kinds.Diagnosis), row, day),
        valve_type=_valve(papers.of(kinds.Valve), row),
        anticoagulant=drug,
        warfarin_start=since,
        training_date=trained_on,
        training_documented=documented,
        orders=_orders(papers.of(kinds.Order), row),
        therapies=_therapies(papers, row),
        known_from=_known_from(papers.of(kinds.Diagnosis)),
        heparin=_heparin(papers),
    )


def warfarin_since(spans: Iterable[kinds.Warfarin], day: dt.date) -> dt.date | None:
    """First day of the unbroken time on warfarin that `day` lies in, or None.

    One span that begins on the day after another has ended goes on with it. After any other break the three months
    begin anew: whether older tests count all the same is a person's decision (R28), made by recording the therapy
    as unbroken or by opening a new coverage.
    """
    since: dt.date | None = None
    until: dt.date | None = None
    for span in sorted(spans, key=lambda span: span.start):
        if span.start > day:
            break
        follows = since is not None and (until is None or span.start <= until + dt.timedelta(days=1))
        since = since if follows else span.start
        until = span.end
    return since if until is None or day <= until else None


def _drug(papers: Papers, row: Enrolled | None, day: dt.date) -> tuple[str | None, dt.date | None]:
    """The anticoagulant on `day`, and since when warfarin is taken."""
    spans = papers.of(kinds.Warfarin)
    if spans:
        since = warfarin_since(spans, day)
        drug: str | None = WARFARIN if since is not None else NO_DRUG
    else:
        since = None if row is None else _day(row.warfarin_start)
        drug = None if row is None else row.anticoagulant
    for other in papers.of(kinds.Anticoagulant):
        instead = not other.beside_warfarin
        if other.start <= day and (other.end is None or day <= other.end) and (instead or drug != WARFARIN):
            drug = other.drug
    return drug, since


def _therapies(papers: Papers, row: Enrolled | None) -> tuple[Therapy, ...]:
    """What was taken when, no two at a time: a drug in the place of warfarin breaks it, and it begins anew (R28).

    Empty where only the registry speaks of one drug: then that and its start decide.
    """
    warfarin = [(span.start, span.end) for span in papers.of(kinds.Warfarin)]
    others = [span for span in papers.of(kinds.Anticoagulant) if not span.beside_warfarin]
    if not warfarin:
        since = None if row is None or row.anticoagulant != WARFARIN else _day(row.warfarin_start)
        if since is None or not others:
            return ()
        warfarin = [(since, None)]
    for other in others:
        warfarin = [part for span in warfarin for part in _without(span, other)]
    found = [Therapy(WARFARIN, start, end) for start, end in warfarin]
    found += [Therapy(other.drug, other.start, other.end) for other in others]
    return tuple(sorted(found, key=lambda therapy: (therapy.start, therapy.drug)))


def _without(
    span: tuple[dt.date, dt.date | None], other: kinds.Anticoagulant
) -> Iterator[tuple[dt.date, dt.date | None]]:
    """What is left of a time on warfarin when another drug was taken instead."""
    start, end = span
    one = dt.timedelta(days=1)
    if (end is not None and end < other.start) or (other.end is not None and other.end < start):
        yield span
        return
    if start < other.start:
        yield start, other.start - one
    if other.end is not None and (end is None or other.end < end):
        yield other.end + one, end


def _heparin(papers: Papers) -> tuple[tuple[dt.date, dt.date | None], ...]:
    """Times on heparin: infused at home, in the place of warfarin or beside it, as in bridging (R36)."""
    spans: list[kinds.Span] = [*papers.of(kinds.Infusion)]
    spans += [other for other in papers.of(kinds.Anticoagulant) if is_heparin(other.drug)]
    return tuple((span.start, span.end) for span in spans)


def _known_from(papers: Sequence[kinds.Diagnosis]) -> tuple[tuple[str, dt.date], ...]:
    """From when each diagnosis holds."""
    found: dict[str, dt.date] = {}
    for paper in papers:
        for code in paper.codes:
            found[code] = min(found.get(code, paper.from_), paper.from_)
    return tuple(sorted(found.items()))


def _training(trainings: Sequence[kinds.Training], row: Enrolled | None) -> tuple[dt.date | None, bool]:
    """The first training that shows both abilities; without one, the first, as not documented (R27)."""
    if not trainings:
        return (None, False) if row is None else (_day(row.training_date), row.training_documented)
    shown = [training.date for training in trainings if training.able_to_test and training.able_to_report]
    return min(shown or [training.date for training in trainings]), bool(shown)


def _diagnosis(papers: Sequence[kinds.Diagnosis], row: Enrolled | None, day: dt.date) -> tuple[str, ...]:
    if not papers:
        return () if row is None else tuple(row.diagnosis.split())
    return tuple(dict.fromkeys(code for paper in papers if paper.from_ <= day for code in paper.codes))


def _valve(papers: Sequence[kinds.Valve], row: Enrolled | None) -> str | None:
    if papers:
        return papers[-1].type
    return None if row is None else row.valve_type


def _orders(papers: Sequence[kinds.Order], row: Enrolled | None) -> tuple[Order, ...]:
    if papers:
        return tuple(Order(paper.signed_on, paper.expires_on, paper.interval_days) for paper in papers)
    if row is None or row.order_signed_on is None:
        return ()
    return (Order(dt.date.fromisoformat(row.order_signed_on), _day(row.order_expires_on)),)


def _day(text: str | None) -> dt.date | None:
    return None if text is None else dt.date.fromisoformat(text)
