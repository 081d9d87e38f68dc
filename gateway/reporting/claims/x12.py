"""Service lines of a claim as X12 segments: 837P (005010X222A1) and 837I (005010X223A2), loop 2400.

Fragments for a biller's own software to put into its claims; nothing here makes a whole transaction or sends one.
Elements are separated by ``*``, components by ``:``, segments by ``~`` and a line break. No text can hold one of
these: the words are A–Z, 0–9 and blanks (`claim_text`), the rest are codes, dates and amounts.
"""

from __future__ import annotations

from typing import Final

from gateway.reporting.claims.orderer import name_parts
from gateway.reporting.claims.record import ClaimRecord

__all__ = ["amount", "institutional_line", "professional_line"]

POINTERS: Final = 4
"""SV107 holds up to four pointers to the diagnoses of the claim."""


def professional_line(claim: ClaimRecord) -> str:
    """Loop 2400 of a professional claim: LX, SV1, DTP, REF, for a partial unit NTE, and loop 2420E: who ordered it.

    SV101-7 and NTE02 say the same words: contractors ask for one or the other, and neither forbids both. SV107
    points to the covered diagnoses, which come first in the claim's list.
    """
    pointers = ":".join(str(at + 1) for at in range(min(claim.unit.covered or 1, POINTERS)))
    place = claim.place_of_service or ""
    segments = [
        "LX*1",
        f"SV1*{claim.sv101}*{amount(claim.charge_cents)}*UN*{claim.quantity}*{place}**{pointers}",
        *_date_and_reference(claim),
    ]
    if claim.nte:
        segments.append(f"NTE*ADD*{claim.nte}")
    if claim.orderer is not None and claim.orderer.npi is not None:
        family, given = name_parts(claim.orderer.name)
        if family:
            segments.append(f"NM1*DK*1*{family}*{given}****XX*{claim.orderer.npi}")
    return _joined(segments)


def institutional_line(claim: ClaimRecord) -> str | None:
    """Loop 2400 of an institutional claim: LX, SV2, DTP, REF; None where no revenue code is configured (SV201)."""
    if claim.revenue_code is None:
        return None
    line = f"SV2*{claim.revenue_code}*{claim.sv202}*{amount(claim.charge_cents)}*UN*{claim.quantity}"
    return _joined(["LX*1", line, *_date_and_reference(claim)])


def amount(cents: int) -> str:
    """Cents as an X12 decimal (type R): no needless zeros after the point, ``112.5`` and ``100``."""
    whole, rest = divmod(cents, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".")


def _date_and_reference(claim: ClaimRecord) -> list[str]:
    return [f"DTP*472*D8*{claim.unit.dos.replace('-', '')}", f"REF*6R*{claim.id}"]


def _joined(segments: list[str]) -> str:
    return "".join(f"{segment}~\n" for segment in segments)
