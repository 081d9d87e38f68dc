"""A small notation for places in a message, as profiles write it.

::

    R.4                                  field 4 of the result record
    H.5.3                                its third component
    C.4.4 where C.4.1=LOT and C.4.2=040  component 4 of the comment that fulfils both conditions
    =Acme                                always the text "Acme"

A condition compares a place with a text in which ``*`` stands for any characters: ``R.3.5=*~INR``. Conditions
joined by ``and`` must hold for one and the same record. Fields count as in `drivers.protocols.astm.records`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.protocols.astm.records import Record

__all__ = ["Condition", "Place", "Records"]

Records = Mapping[str, Sequence[Record]]
"""The records in which places are looked up, by type."""

_PLACE = re.compile(r"([HPORCMS])\.([1-9]\d?)(?:\.([1-9]\d?))?")


@dataclass(frozen=True, slots=True)
class _Spot:
    type: str
    field: int
    component: int

    @classmethod
    def parse(cls, text: str) -> _Spot:
        found = _PLACE.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text.strip()!r} is no place in a message; write one like R.4 or H.5.3")
        return cls(found.group(1), int(found.group(2)), int(found.group(3) or 0))


@dataclass(frozen=True, slots=True)
class _Clause:
    spot: _Spot
    text: str
    pattern: re.Pattern[str] | None

    @classmethod
    def parse(cls, text: str) -> _Clause:
        place, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{text.strip()!r} is no condition; write one like O.12=Q")
        value = value.strip()
        pattern = None
        if "*" in value:
            pattern = re.compile(".*".join(re.escape(part) for part in value.split("*")), re.DOTALL)
        return cls(_Spot.parse(place), value, pattern)

    def holds(self, record: Record) -> bool:
        part = record.part(self.spot.field, self.spot.component)
        return part == self.text if self.pattern is None else self.pattern.fullmatch(part) is not None


@dataclass(frozen=True, slots=True)
class Condition:
    """What one record must fulfil."""

    type: str
    clauses: tuple[_Clause, ...]
    text: str

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read the notation.

        Raises:
            ValueError: it is none; the message shows how to write it.
        """
        clauses = tuple(_Clause.parse(part) for part in re.split(r"\s+and\s+", text.strip()))
        if len({clause.spot.type for clause in clauses}) > 1:
            raise ValueError(f"{text!r} joins conditions on different records; all must name the same record")
        return cls(clauses[0].spot.type, clauses, text.strip())

    def holds(self, record: Record) -> bool:
        """Whether a record of the right type fulfils it."""
        for clause in self.clauses:  # noqa: SIM110 - several times per record: all() with a generator costs twice
            if not clause.holds(record):
                return False
        return True

    def met_in(self, records: Records) -> bool:
        """Whether any record fulfils it."""
        return any(self.holds(record) for record in records.get(self.type, ()))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, or a constant."""

    constant: str | None
    spot: _Spot
    condition: Condition | None

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read the notation.

        Raises:
            ValueError: it is none; the message shows how to write it.
        """
        if text.startswith("="):
            return cls(text[1:].strip(), _Spot("H", 1, 0), None)
        place, where, condition = text.partition(" where ")
        spot = _Spot.parse(place)
        parsed = Condition.parse(condition) if where else None
        if parsed is not None and parsed.type != spot.type:
            raise ValueError(f"{text!r} takes a value from {spot.type} under a condition on {parsed.type}")
        return cls(None, spot, parsed)

    def find(self, records: Records) -> tuple[str, Record | None]:
        """The first text that is not empty, and the record that holds it."""
        if self.constant is not None:
            return self.constant, None
        spot, condition = self.spot, self.condition
        for record in records.get(spot.type, ()):
            if condition is None or condition.holds(record):
                text = record.part(spot.field, spot.component)
                if text:
                    return text, record
        return "", None
