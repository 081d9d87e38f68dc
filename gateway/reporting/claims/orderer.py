"""Who ordered the tests of a unit, as claims name them (rules R29, R34; X12 837P loop 2420E)."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from typing import Final

from gateway.reporting.claims.record import Orderer
from gateway.reporting.documents.kinds import Order
from gateway.reporting.documents.papers import Papers

__all__ = ["name_parts", "ordered_by"]

LAST_LIMIT: Final = 60
FIRST_LIMIT: Final = 35
"""NM103 and NM104 (X12)."""
_TITLES: Final = frozenset(
    {"DR", "PROF", "MR", "MRS", "MS", "MD", "DO", "PHD", "PA", "PAC", "NP", "FNP", "RN", "MBBS"}
)
_UNDIVIDED: Final = str.maketrans(
    {"Ł": "L", "Ø": "O", "Đ": "D", "Ð": "D", "Þ": "TH", "Æ": "AE", "Œ": "OE", "ẞ": "SS"}
)
"""Letters that Unicode does not take apart into a plain one and its mark."""


def ordered_by(papers: Papers, last_test: dt.date) -> Orderer | None:
    """The orderer of the order in force on the day of a unit's last test, the newest if there are several.

    None where no document is on file: what the registry knows of an order has no name.
    """
    found: Order | None = None
    for order in papers.of(Order):
        in_force = order.signed_on <= last_test and (order.expires_on is None or last_test <= order.expires_on)
        if in_force and (found is None or found.signed_on <= order.signed_on):
            found = order
    return (
        None
        if found is None
        else Orderer(name=found.practitioner, npi=found.npi, signed_on=found.signed_on.isoformat())
    )


def name_parts(name: str) -> tuple[str, str]:
    """Family and given name in the letters that X12 takes: ``Valley, Ana`` or ``Dr. Ana Valley, MD``.

    Without a comma between them the last word is taken for the family name. Empty where nothing is left.
    """
    before, _, after = name.partition(",")
    family, given = _words(before), _words(after)
    if not given:
        *given, last = family or [""]
        family = [last]
    return " ".join(family)[:LAST_LIMIT].strip(), (given[0] if given else "")[:FIRST_LIMIT]


def _words(text: str) -> list[str]:
    """Words in capitals without accents, titles and signs."""
    plain = unicodedata.normalize("NFKD", text.upper().translate(_UNDIVIDED)).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Z'-]+", " ", plain.replace(".", "")).split()
    return [word for word in words if word not in _TITLES]
