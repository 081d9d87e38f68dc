"""Services beside G0249 that the documents tell of, and what a person should look at before they are billed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from gateway.reporting.documents import kinds
from gateway.reporting.documents.papers import Papers
from gateway.reporting.units.model import Unit
from gateway.reporting.units.neighbours import Caution, Service, cautions

__all__ = ["cautions_of", "services_of"]


def services_of(papers: Papers, as_of: dt.date | None = None) -> list[Service]:
    """Lines billed beside the units, trainings (G0248, 93792) and home infusions (S9336) on record.

    A training on the day of a line with its code is the session that the line bills.

    Args:
        papers: of one patient.
        as_of: what is dated later is unknown; None: everything is known.
    """
    found = [
        Service(
            line.code,
            line.date,
            None if result is None else str(result),
            line.same_day_visit,
            line.units,
            line.billed_by,
        )
        for result, line in papers.numbered(kinds.BilledService)
    ]
    lines = {(line.code, line.date) for line in found}
    found += [
        Service(training.code, training.date)
        for training in papers.of(kinds.Training)
        if (training.code, training.date) not in lines
    ]
    found += [Service("S9336", infusion.start) for infusion in papers.of(kinds.Infusion)]
    return [service for service in found if as_of is None or service.date <= as_of]


def cautions_of(
    papers: Papers,
    physician_units: Iterable[Unit] = (),
    days: Mapping[str, dt.date] | None = None,
    as_of: dt.date | None = None,
) -> tuple[Caution, ...]:
    """What speaks against billing them as they stand (rules R32, R33, R36).

    Args:
        papers: of one patient.
        physician_units: the patient's G0250 units.
        days: the local day of each test.
        as_of: what is dated later is unknown; None: everything is known.
    """
    return cautions(services_of(papers, as_of), physician_units, days or {})
