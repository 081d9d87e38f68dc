"""Refusals of the tally: one tree, each with a machine-readable reason.

    UnitsError
    ├── BadValueError          a field is missing or cannot be read
    │   └── BadCodeError       a code that no table knows (diagnosis, procedure, kind of test, event, option)
    ├── DateOrderError         two dates that cannot follow one another
    ├── UnknownZoneError       a time zone that the zone database does not have
    ├── UnsignedOrderError     an order without the date of its signature
    ├── DuplicateTestError     one test id twice
    ├── DuplicateClaimError    one test in two claims of the same code
    ├── UnknownTestError       a claim names a test that is not among the tests
    └── NoPolicyError          no policy, or more than one, is in force for a payer on a date

A refusal is raised before anything is computed, so it never leaves half an answer behind.
"""

from __future__ import annotations

from typing import ClassVar


class UnitsError(ValueError):
    """An input was refused.

    Attributes:
        reason: machine-readable reason, the same for all errors of a class.
        subject: what was refused, for example ``case C01`` or ``enrollment``.
        field: where in it, for example ``tests[2].kind``; empty where the whole is meant.
        problem: what is wrong.
        remedy: what to do about it.
    """

    reason: ClassVar[str] = "refused"

    def __init__(self, field: str, problem: str, remedy: str, *, subject: str = "") -> None:
        self.subject = subject
        self.field = field
        self.problem = problem
        self.remedy = remedy
        super().__init__(field, problem, remedy)

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.subject, self.field) if part)
        return f"{place}: {self.problem}; {self.remedy}" if place else f"{self.problem}; {self.remedy}"

    def within(self, subject: str, prefix: str = "") -> UnitsError:
        """The same refusal, said of `subject`, with `prefix` before its field."""
        return type(self)(f"{prefix}{self.field}", self.problem, self.remedy, subject=subject)


class BadValueError(UnitsError):
    """A field is missing, has the wrong type, or cannot be read."""

    reason = "bad_value"


class BadCodeError(BadValueError):
    """A code that no table knows."""

    reason = "bad_code"


class DateOrderError(UnitsError):
    """Two dates that cannot follow one another."""

    reason = "date_order"


class UnknownZoneError(UnitsError):
    """A time zone that the zone database does not have."""

    reason = "unknown_zone"


class UnsignedOrderError(UnitsError):
    """An order without the date of its signature: an attestation cannot replace it (42 CFR 410.32(a), rule R29)."""

    reason = "unsigned_order"


class DuplicateTestError(UnitsError):
    """One test id stands twice in the same set of tests."""

    reason = "duplicate_test"


class DuplicateClaimError(UnitsError):
    """One test stands in two claims of the same code: it would be paid twice."""

    reason = "duplicate_claim"


class UnknownTestError(UnitsError):
    """A claim names a test that is not among the tests."""

    reason = "unknown_test"


class NoPolicyError(UnitsError):
    """No policy, or more than one, is in force for a payer on a date."""

    reason = "no_policy"
