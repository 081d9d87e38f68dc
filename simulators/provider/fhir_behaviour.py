"""How the provider's FHIR server answers, request by request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from simulators.provider.schedule import seconds

__all__ = ["FhirBehaviour", "FhirManner"]


class FhirManner(StrEnum):
    """A way to answer a request that would change something."""

    ACCEPT = "accept"
    """As the specification says."""
    IGNORE_CONDITION = "ignore-condition"
    """If-None-Exist is not looked at: everything is created once more."""
    STATUS = "status"
    """This status with an OperationOutcome, and Retry-After if given: ``status:503``, ``status:429:7``. Nothing is
    stored."""
    ENTRY = "entry"
    """200, and within the answer this status for the last entry: ``entry:422``. Nothing is stored."""
    ACCEPTED = "accepted"
    """202 without content. Nothing is stored."""
    LATE = "late"
    """Stored, and answered after some seconds: ``late:2.5``."""
    DROP = "drop"
    """Stored, but the connection ends without an answer."""
    HALF = "half"
    """Stored; half of the answer, then the connection ends."""
    STORED_500 = "stored-500"
    """Stored, but answered 500, as by a gateway that gave up waiting."""
    SHORT = "short"
    """Stored; the answer lacks its last entry."""
    WRONG = "wrong"
    """Stored; the answer is that of another transaction."""
    NO_BUNDLE = "no-bundle"
    """Stored; the answer is an OperationOutcome."""
    ENDLESS = "endless"
    """Stored; the answer is a megabyte of blanks before its content."""


ARGUED = frozenset({FhirManner.STATUS, FhirManner.ENTRY})


@dataclass(frozen=True, slots=True)
class FhirBehaviour:
    """One answer.

    Attributes:
        late_s: for `FhirManner.LATE`.
        status: for `FhirManner.STATUS` and `FhirManner.ENTRY`.
        retry_after: what stands in the header of that name; empty: none.
    """

    manner: FhirManner = FhirManner.ACCEPT
    late_s: float = 0.0
    status: int = 200
    retry_after: str = ""

    @classmethod
    def parse(cls, text: str) -> FhirBehaviour:
        """Read ``accept``, ``late:2.5``, ``status:429:7``.

        Raises:
            ValueError: the text is none of these; the message lists them.
        """
        name, _, argument = text.partition(":")
        try:
            manner = FhirManner(name)
        except ValueError:
            raise ValueError(f"{name!r} is no behaviour; there are: {', '.join(FhirManner)}") from None
        if manner is FhirManner.LATE:
            return cls(manner, late_s=seconds(text, argument))
        if manner in ARGUED:
            code, _, after = argument.partition(":")
            if not (code.isdecimal() and 200 <= int(code) <= 599):
                raise ValueError(f"{text!r}: write {name}:CODE, for example {name}:422")
            return cls(manner, status=int(code), retry_after=after)
        if argument:
            raise ValueError(f"{text!r}: {name} takes no {argument!r}; only late, status and entry do")
        return cls(manner)
