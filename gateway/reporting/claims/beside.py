"""Other codes beside the units of one patient, and what a person should look at (rules R32, R33, R36)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from gateway.reporting.claims.tallied import Refused, Tallied, tallies_of
from gateway.reporting.documents.kinds import BilledService
from gateway.reporting.documents.neighbours import cautions_of
from gateway.reporting.documents.papers import Papers
from gateway.reporting.facts import Facts
from gateway.reporting.units.neighbours import Caution
from gateway.store.opening import Role

__all__ = ["beside_physician", "beside_units"]


def beside_units(facts: Facts, as_of: dt.date, role: Role) -> tuple[Caution, ...]:
    """The cautions about one patient, as known at the end of a local day."""
    managed = any(line.code == "93793" for line in facts.papers.of(BilledService))
    return beside_physician(facts.papers, tallies_of(facts, as_of, role, "G0250") if managed else (), as_of)


def beside_physician(papers: Papers, tallies: Iterable[Tallied | Refused], as_of: dt.date) -> tuple[Caution, ...]:
    """The same from tallies that were made already.

    Args:
        papers: of one patient.
        tallies: the patient's for G0250, one for each payer's period.
        as_of: what is dated later is unknown.
    """
    made = [known for known in tallies if isinstance(known, Tallied)]
    days = {test.id: known.day_of(test.taken_at) for known in made for test in known.inputs.tests}
    return cautions_of(papers, (unit for known in made for unit in known.statement.units), days, as_of)
