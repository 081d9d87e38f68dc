"""A plain, eligible patient and plain tests, to be changed where a test needs it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from gateway.reporting.units import model
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.policy import Policy, with_options

ENROLLED = model.Enrollment(
    tz="America/Los_Angeles",
    payer="medicare_ffs",
    diagnosis=("I48.20", "Z79.01"),
    warfarin_start=dt.date(2024, 1, 2),
    training_date=dt.date(2024, 5, 1),
    training_documented=True,
    orders=(model.Order(dt.date(2024, 4, 25)),),
    mac="noridian",
)


def policy(table: DiagnosisTable, **options: object) -> Policy:
    """The house's defaults with some options changed."""
    return with_options(Policy(id="house", diagnoses=table), options)


def a_test(test_id: str, taken: str, **changes: Any) -> model.Test:
    """A patient's test, reported after five minutes and acknowledged after an hour."""
    at = dt.datetime.fromisoformat(taken)
    stamps = {"reported_at": at + dt.timedelta(minutes=5), "acknowledged_at": at + dt.timedelta(hours=1)}
    plain: dict[str, Any] = {"id": test_id, "kind": "patient", "source": "device", "taken_at": at, **stamps}
    return model.Test(**{**plain, "inr": Decimal("2.5"), **changes})


def weekly(count: int, first: str = "2024-06-05T08:00:00-07:00") -> list[model.Test]:
    """Weekly tests t1, t2 ..."""
    at = dt.datetime.fromisoformat(first)
    return [a_test(f"t{n + 1}", (at + dt.timedelta(days=7 * n)).isoformat()) for n in range(count)]
