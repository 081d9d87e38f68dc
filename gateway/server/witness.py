"""What a person may say about a test: when it was done, and who of the possible patients did it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.clock import Quality
from gateway.server.attribution import Attributed, owner_at, touched_by
from gateway.server.book import Book
from gateway.server.copies import Copy, DecisionError, best
from gateway.server.refusals import Reason, Refusal

__all__ = ["STATED_UNCERTAINTY_S", "Choice", "stated"]

STATED_UNCERTAINTY_S = 60.0
"""A person names a minute."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A person's answer.

    Attributes:
        keep: number of the reading whose content holds; it and the others are one test.
        as_two: the reading that brought the row up is a test of its own.
        patient: who did the test, when its time touches several assignments.
        taken_at: when the test was done.
    """

    keep: int | None = None
    as_two: bool = False
    patient: str | None = None
    taken_at: datetime | None = None

    def __str__(self) -> str:
        said = [] if self.keep is None else [f"--keep {self.keep}"]
        said += ["--as-two"] if self.as_two else []
        said += [] if self.patient is None else [f"--patient {self.patient}"]
        said += [] if self.taken_at is None else [f"--taken-at {self.taken_at.isoformat()}"]
        return " ".join(said)


def stated(book: Book, copies: Sequence[Copy], choice: Choice) -> tuple[Attributed, Copy] | Refusal:
    """Attribute a result with what the person said, and otherwise by the usual rules.

    Raises:
        DecisionError: the person named a patient to whom the test cannot belong.
    """
    if choice.patient is None and choice.taken_at is None:
        return best(book, copies)
    copy, result = copies[0], copies[0].new.result
    key = result.meter.key
    if key is None or not book.meter_known(key):
        return Refusal(Reason.UNKNOWN_METER, "the meter gave no serial number, or is not registered")
    assignments = book.assignments(key)
    if choice.patient is not None:
        assignments = [each for each in assignments if each.patient_id == choice.patient]
    if choice.taken_at is not None:
        found = owner_at(
            copy.new.result.patient_id,
            choice.taken_at,
            STATED_UNCERTAINTY_S,
            Quality.STATED,
            assignments,
            book.zones,
        )
        return found if isinstance(found, Refusal) else (found, copy)
    for each in copies:
        for candidate in touched_by(each.new.reading, each.new.result, each.received, assignments, book.zones):
            return candidate, each
    raise DecisionError(f"patient {choice.patient} had this meter at no time that the test may have been done")
