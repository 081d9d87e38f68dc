"""Who has not tested, and whose result is stuck on its way: for billing and for safety the same list."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.worklists.book import Entry
from gateway.reporting.worklists.tested import ended, home_test, home_test_days, last_contact, sunday

__all__ = ["Missed", "missed_week"]

What = Literal["not tested", "not reported", "not acknowledged"]

NO_RESULT: Final = frozenset({"DUPLICATE", "VOIDED", "SUPERSEDED", "FUTURE_DATED"})
"""What need not arrive, or not yet. A result that cannot count for another reason must reach the provider too."""
_RANK: Final[dict[What, int]] = {"not tested": 0, "not reported": 1, "not acknowledged": 2}
_WORDS: Final[dict[What, str]] = {
    "not tested": "call the patient",
    "not reported": "our delivery: 'results list' and 'deliveries' say why it waits",
    "not acknowledged": "the provider: ask whether it arrived",
}


class Missed(NamedTuple):
    """A test that is missing on its way, and who must see to it.

    Attributes:
        what: ``not tested`` (outreach), ``not reported`` (our delivery) or ``not acknowledged`` (the provider).
        week: the Sunday on which its week begins.
        taken_on: day of the test; of one that was not taken, of the last one before.
        days: since then, or since a test was expected first.
    """

    what: What
    patient: str
    week: dt.date
    test: str
    taken_on: dt.date | None
    days: int
    missed_weeks: int
    last_contact: dt.date | None
    words: str


def missed_week(book: Iterable[Entry], weekday: int) -> list[Missed]:
    """Three lists with three owners; in each the longest silence first.

    Args:
        book: all patients.
        weekday: 0 for Sunday to 6 for Saturday. Before this day of the week only the week before is asked about.
    """
    found: list[Missed] = []
    for entry in book:
        found += _stuck(entry)
        tallied = entry.current
        if tallied is None or ended(entry, tallied) or tallied.statement.next_eligible.test_from is None:
            continue
        found += _untested(entry, tallied, weekday)
    return sorted(found, key=lambda row: (_RANK[row.what], -row.days, row.patient, row.test))


def _stuck(entry: Entry) -> list[Missed]:
    """Results without evidence, of whatever week and payer, each once."""
    found: dict[str, Missed] = {}
    for tallied in entry.tallies:
        reasons = {each.test: each.reason for each in tallied.statement.not_covered}
        for test in tallied.inputs.tests:
            arrived = test.acknowledged_at
            if arrived is not None and arrived.date() < entry.as_of:  # in any zone: no local date is needed
                continue
            day = tallied.day_of(test.taken_at)
            if not home_test(test) or day > entry.as_of or reasons.get(test.id) in NO_RESULT:
                continue
            sent, taken_in = (
                at is not None and tallied.day_of(at) <= entry.as_of
                for at in (test.reported_at, test.acknowledged_at)
            )
            if taken_in or (sent and tallied.policy.report_evidence == "transmitted"):
                continue
            what: What = "not acknowledged" if sent else "not reported"
            found[test.id] = Missed(
                what,
                entry.patient_id,
                sunday(day),
                test.id,
                day,
                (entry.as_of - day).days,
                len(tallied.statement.missed_weeks),
                last_contact(entry),
                _WORDS[what],
            )
    return list(found.values())


def _untested(entry: Entry, tallied: Tallied, weekday: int) -> Iterator[Missed]:
    week = sunday(entry.as_of)
    if (entry.as_of - week).days < weekday:
        week -= dt.timedelta(days=7)
    days, expected = home_test_days(tallied, entry.as_of), _first_day(tallied)
    if any(sunday(day) == week for day in days) or week + dt.timedelta(days=6) < expected:
        return
    last = max(days, default=None)
    silent_since = last or (expected if expected > dt.date.min else entry.as_of)
    yield Missed(
        "not tested",
        entry.patient_id,
        week,
        "",
        last,
        (entry.as_of - silent_since).days,
        len(tallied.statement.missed_weeks),
        last_contact(entry),
        _hold(entry, tallied) or _WORDS["not tested"],
    )


def _hold(entry: Entry, tallied: Tallied) -> str:
    """A hold ends nothing (R17), but whoever calls should know of it."""
    since = [each.date for each in tallied.inputs.events if each.type == "hold" and each.date <= entry.as_of]
    tests = home_test_days(tallied, entry.as_of)
    if not since or (tests and max(tests) > max(since)):
        return ""
    return f"on hold since {max(since)}: call all the same"


def _first_day(tallied: Tallied) -> dt.date:
    """From when a test was expected at all: after the training, under this payer."""
    enrollment = tallied.inputs.enrollment
    return max(enrollment.training_date or dt.date.min, enrollment.covered_from or dt.date.min)
