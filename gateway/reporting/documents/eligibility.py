"""What payers answered when they were asked, beside what is on record: a change of plan is often known late."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from gateway.reporting.documents.coverage import Period
from gateway.reporting.documents.kinds import Eligibility, Event
from gateway.reporting.documents.papers import Papers

__all__ = ["disagreement", "last_answer"]


def last_answer(papers: Papers, as_of: dt.date) -> Eligibility | None:
    """The newest answer up to a day; of two on one day the one recorded later."""
    found: Eligibility | None = None
    for each in papers.of(Eligibility):
        if each.checked_on <= as_of and (found is None or found.checked_on <= each.checked_on):
            found = each
    return found


def disagreement(papers: Papers, periods: Iterable[Period], as_of: dt.date) -> str:
    """In what the newest answer and the record differ, in words; empty where they agree or nobody asked.

    Args:
        papers: the patient's.
        periods: the payers' periods on record.
        as_of: later answers are unknown.
    """
    answer = last_answer(papers, as_of)
    if answer is None:
        return ""
    on_record = next((each.payer for each in periods if each.covers(answer.checked_on)), "no payer")
    said, remedies = [], []
    if on_record != answer.payer:
        since = f" from {answer.from_}" if answer.from_ else ""
        said.append(f"{answer.payer}{since}, where {on_record} is on record")
        remedies.append("record the coverage as it is")
    if answer.died_on is not None and not any(event.type == "death" for event in papers.of(Event)):
        said.append(f"died on {answer.died_on}, which is not on record")
        remedies.append("record the death")
    if not said:
        return ""
    return f"asked on {answer.checked_on}: {'; '.join(said)}: {' and '.join(remedies)}, or ask again"
