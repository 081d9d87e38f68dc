"""What a payer's adjustment and remark codes mean here: the cause of a denial, and what to look at.

Claim adjustment reason codes (CARC) and remittance advice remark codes (RARC) as they stand in an X12 835. The
codes that matter for this service are named by the contractors' pages on home INR and by the NCD's edits; a code
that is not in the table is kept and has the cause ``other``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["CAUSES", "GROUPS", "Cause", "cause_of"]

GROUPS: Final = ("CO", "PR", "OA", "PI", "CR")
"""Claim adjustment group codes: who bears it."""
CARC: Final = re.compile(r"[1-9]\d{0,2}|[ABDPWY]\d{1,2}")
RARC: Final = re.compile(r"(M|MA|N)\d{1,3}")


class Cause(NamedTuple):
    """One cause of a denial, with words for a person."""

    name: str
    words: str


CAUSES: Final[dict[str, Cause]] = {
    "death": Cause("death", "dated after the patient's death: check the date of death and the last covered day"),
    "medicare_advantage": Cause(
        "medicare_advantage", "the patient was in Medicare Advantage: close this tally, bill the plan"
    ),
    "filing_limit": Cause("filing_limit", "filed later than one year after the date of service: not appealable"),
    "not_covered": Cause("not_covered", "not covered by the national determination: check diagnosis and warfarin"),
    "necessity": Cause("necessity", "necessity not shown: check order, diagnosis and frequency"),
    "frequency": Cause("frequency", "more often than is paid: check the distance to the unit before"),
    "orderer": Cause("orderer", "the ordering practitioner is missing or not enrolled: complete it"),
    "incomplete": Cause("incomplete", "the claim lacks information: read the remark code, complete and replace it"),
    "wrong_contractor": Cause("wrong_contractor", "sent to the wrong contractor: these codes go to the A/B MAC"),
    "modifier": Cause("modifier", "modifier does not fit: check 52, GA, GZ and the words beside it"),
    "duplicate": Cause("duplicate", "the payer has this claim already: compare the claim ids before anything else"),
    "patient_share": Cause("patient_share", "deductible or coinsurance: no denial, the patient's share"),
    "contract": Cause("contract", "above the fee schedule: no denial, a contractual write-off"),
    "other": Cause("other", "a code without an entry here: read the payer's text"),
}

_BY_CARC: Final = {
    "1": "patient_share",
    "2": "patient_share",
    "3": "patient_share",
    "4": "modifier",
    "13": "death",
    "16": "incomplete",
    "18": "duplicate",
    "24": "medicare_advantage",
    "29": "filing_limit",
    "45": "contract",
    "50": "necessity",
    "96": "not_covered",
    "109": "wrong_contractor",
    "119": "frequency",
    "151": "frequency",
    "253": "contract",
}
_ORDERER: Final = frozenset({"MA13", "N264", "N265", "N285", "N286"})
_NATIONAL: Final = frozenset({"N386", "N115"})


def cause_of(carc: str, rarcs: tuple[str, ...]) -> Cause:
    """The cause behind one adjustment.

    Args:
        carc: adjustment reason code; empty where the payer gave none.
        rarcs: remark codes beside it; they decide between causes that share a CARC.
    """
    if carc == "16" and _ORDERER & set(rarcs):
        return CAUSES["orderer"]
    if carc in ("50", "96") and _NATIONAL & set(rarcs):
        return CAUSES["not_covered"]
    return CAUSES[_BY_CARC.get(carc, "other")]
