r"""E1394 records (CLSI LIS02-A2) of a home INR meter.

No home meter with a public ASTM layout is known, so this one is ours. It follows the record definitions of the
standard; test names stand in the fourth component of the universal test id (local code)::

    H|\^&|||ACME^HomeINR^SN000123^1.2|||||||P|LIS2-A2|20260314073005
    P|1||patient id
    O|1|record number||^^^INR|R||||||Q          (Q only for a control)
    R|1|^^^INR|2.5|INR||N||F||operator||20260314072800
    R|2|^^^PT|29.6|s||||F||||20260314072800
    R|3|^^^QUICK|31|%||||F||||20260314072800
    C|1|I|LOT^564636|G        strip lot
    C|2|I|CTRL^7712^1|G       control lot and level
    C|2|I|ERR^E-5|G           error code; R.4 is empty and R.9 is X
    L|1|N
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from simulators.astm.dialect import Dialect
from simulators.meter import Identity, Kind, Stored

__all__ = ["records"]

VERSION = "LIS2-A2"
_ALLOWED = frozenset([*range(32, 127), *range(128, 255)])
"""Octets a field may hold as they are (E1394 section 6.4): no controls, no DEL, no 255."""


def records(identity: Identity, tests: Iterable[Stored], shown: datetime | None, dialect: Dialect) -> list[bytes]:
    """Encode one message.

    Args:
        identity: the meter, for the H record.
        tests: P, O, R and C records are repeated for each.
        shown: what the meter's clock shows now, for H.14; None leaves it out.
        dialect: which delimiters, and whether H.14 is sent at all.

    Returns:
        The records in order, each with its closing CR.
    """
    writer = _Writer(dialect.delimiters)
    clock = _time(shown) if dialect.header_clock else ""
    sender = (identity.vendor, identity.model, identity.serial, identity.firmware)
    writer.header(sender, dialect.processing_id, clock)
    for sequence, test in enumerate(tests, start=1):
        _test(writer, sequence, test)
    writer.record("L", 1, "N")
    return writer.written


def _test(writer: _Writer, sequence: int, test: Stored) -> None:
    entry = test.entry
    failed = entry.kind is Kind.ERROR
    status = "X" if failed else "F"
    time = _time(test.shown) if entry.device_time is None else entry.device_time
    writer.record("P", sequence, "", entry.patient_id)
    action = "Q" if entry.kind is Kind.CONTROL else ""
    writer.record("O", 1, test.number, "", ("", "", "", "INR"), "R", "", "", "", "", "", action)
    inr = entry.inr or ""
    flag = "" if failed else inr[0] if inr[:1] in ("<", ">") else "N"
    measured = [
        ("INR", inr, "INR", flag, entry.operator_id),
        ("PT", entry.pt_seconds, "s", "", ""),
        ("QUICK", entry.quick_percent, "%", "", ""),
    ]
    present = [line for line in measured if line[1] is not None]
    for number, (name, value, unit, mark, operator) in enumerate(present, start=1):
        identifier = ("", "", "", name)
        writer.record("R", number, identifier, value, unit, "", mark, "", status, "", operator, "", time)
    remarks: list[tuple[str, ...]] = []
    if entry.strip_lot is not None:
        remarks.append(("LOT", entry.strip_lot))
    if entry.control_lot is not None:
        remarks.append(("CTRL", entry.control_lot, entry.control_level or ""))
    if entry.error_code is not None:
        remarks.append(("ERR", entry.error_code))
    for number, remark in enumerate(remarks, start=1):
        writer.record("C", number, "I", remark, "G")


def _time(shown: datetime | None) -> str:
    """YYYYMMDDHHMMSS without zone (E1394 section 6.6.2); empty for a clock that shows nothing."""
    return "" if shown is None else f"{shown.year:04d}{shown:%m%d%H%M%S}"


class _Writer:
    """Writes fields and components between the delimiters that the H record declares (E1394 section 6.4)."""

    def __init__(self, delimiters: str) -> None:
        self.written: list[bytes] = []
        self._field, self._repeat, self._component, self._escape = tuple(delimiters)
        self._delimiters = delimiters

    def header(self, sender: tuple[str, ...], processing_id: str, clock: str) -> None:
        # H.2 is the delimiters themselves and is the one field that is never escaped.
        rest = self._fields(["", "", sender, "", "", "", "", "", "", processing_id, VERSION, clock])
        self.written.append(f"H{self._delimiters}{self._field}{rest}\r".encode("latin-1"))

    def record(self, *fields: str | int | tuple[str, ...] | None) -> None:
        self.written.append(f"{self._fields(fields)}\r".encode("latin-1"))

    def _fields(self, fields: Iterable[str | int | tuple[str, ...] | None]) -> str:
        texts = [
            self._component.join(map(self._escaped, field))
            if isinstance(field, tuple)
            else self._escaped("" if field is None else str(field))
            for field in fields
        ]
        while texts and not texts[-1]:  # trailing empty fields may be left out
            texts.pop()
        return self._field.join(texts)

    def _escaped(self, text: str) -> str:
        names = {self._field: "F", self._component: "S", self._repeat: "R", self._escape: "E"}
        mark = self._escape
        return "".join(
            f"{mark}{names[character]}{mark}"
            if character in names
            else character
            if ord(character) in _ALLOWED
            else f"{mark}X{ord(character):02X}{mark}"
            for character in text
        )
