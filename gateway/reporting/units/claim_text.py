"""What a unit says on each claim form: charge, procedure composite, and the words beside a partial unit (R24).

Noridian A55756 asks for modifier 52, a charge of 25, 50 or 75 %, and the number of completed tests in words; its
page on modifier 52 also for the words "reduced services" and a brief reason. Limits: SV101-7, SV202-7 and NTE02
hold 1–80 characters (X12); item 19 of the CMS-1500 about 71 (unconfirmed). Only A–Z, 0–9 and space are used, so no
X12 separator can occur. Nothing here is sent anywhere.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.reporting.units.errors import BadCodeError, BadValueError
from gateway.reporting.units.model import TESTS_PER_UNIT, EventType, Unit

X12_LIMIT: Final = 80
ITEM_19_LIMIT: Final = 71

_ENDED: Final[dict[EventType, str]] = {
    "withdrawn": "PT WITHDREW",
    "death": "PT DIED",
    "ma_transfer": "PT MOVED TO MEDICARE ADVANTAGE",
}


class ClaimText(NamedTuple):
    """One unit in the words of each form; the narratives are empty for a whole unit.

    Attributes:
        charge_cents: charge in whole cents.
        quantity: always 1 (rule R1).
        sv101: composite of the professional claim (837P, SV101), its seventh part being the narrative.
        nte: line note of the professional claim (837P, loop 2400, NTE02 after ADD), instead of SV101-7.
        item_19: item 19 of the CMS-1500.
        sv202: composite of the institutional claim (837I, SV202), its seventh part being the narrative.
        block_80: remarks of the UB-04.
    """

    charge_cents: int
    quantity: int
    sv101: str
    nte: str
    item_19: str
    sv202: str
    block_80: str


def charge_cents(full_cents: int, tests: int) -> int:
    """A quarter of the full charge for each of one to four tests, in whole cents, half a cent rounded up.

    Raises:
        BadValueError: a negative charge, or not one to four tests.
    """
    if full_cents < 0:
        raise BadValueError("full_cents", f"{full_cents} is negative", "give the full charge in cents")
    if not 1 <= tests <= TESTS_PER_UNIT:
        raise BadValueError("tests", f"{tests} is not one to four", "a unit has one to four tests")
    return (2 * full_cents * tests + TESTS_PER_UNIT) // (2 * TESTS_PER_UNIT)


def claim_text(unit: Unit, full_cents: int, ended_by: EventType | None = None) -> ClaimText:
    """The words and the charge for `unit`.

    Args:
        unit: a unit of a statement.
        full_cents: the supplier's charge for a whole unit, in cents.
        ended_by: what ended the service; needed for a partial unit, whose brief reason it is.

    Raises:
        BadValueError: a partial unit without `ended_by`, fewer than four tests without modifier 52, or modifier 52
            on four tests or on G0250.
        BadCodeError: an event that ends no service.
    """
    charge = charge_cents(full_cents, len(unit.tests))
    composite = ":".join(["HC", unit.code, *unit.modifiers])
    if unit.is_full:
        return ClaimText(charge, 1, composite, "", "", composite, "")
    if "52" not in unit.modifiers:
        raise BadValueError(
            "unit", f"{len(unit.tests)} of 4 tests without modifier 52", "only a whole unit may lack it"
        )
    if len(unit.tests) == TESTS_PER_UNIT:
        raise BadValueError("unit", "four tests with modifier 52", "a whole unit is billed without it")
    if unit.code != "G0249":
        raise BadValueError("unit", f"{unit.code} knows no partial unit", "modifier 52 is for G0249 only")
    if ended_by is None:
        raise BadValueError("ended_by", "is missing", "a partial unit needs the event that ended the service")
    if ended_by not in _ENDED:
        raise BadCodeError("ended_by", f"{ended_by!r} ends no service", f"use one of: {', '.join(_ENDED)}")
    words = f"{len(unit.tests)} OF {TESTS_PER_UNIT} TESTS REPORTED REDUCED SERVICES {_ENDED[ended_by]}"
    # The description is the seventh part; the parts from the third to the sixth hold modifiers.
    padded = composite + ":" * (6 - composite.count(":"))
    return ClaimText(
        charge_cents=charge,
        quantity=1,
        sv101=padded + narrative(words, X12_LIMIT),
        nte=narrative(words, X12_LIMIT),
        item_19=narrative(words, ITEM_19_LIMIT),
        sv202=padded + narrative(words, X12_LIMIT),
        block_80=narrative(words, ITEM_19_LIMIT),
    )


def narrative(words: str, limit: int) -> str:
    """`words` in capitals, nothing but A–Z, 0–9 and single spaces, cut at a word to at most `limit` characters.

    Raises:
        BadValueError: nothing is left.
    """
    plain = " ".join(re.sub(r"[^A-Z0-9]+", " ", words.upper()).split())
    if len(plain) > limit:
        cut = plain[: limit + 1].rfind(" ")
        plain = plain[:cut] if cut > 0 else plain[:limit]
    if not plain:
        raise BadValueError("narrative", f"{words!r} leaves no letter or digit", "give words")
    return plain
