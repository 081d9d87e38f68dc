"""One patient's results of a time as a PDF, for whoever asks: the office, the patient, an auditor."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from gateway.clock import moment, utc
from gateway.reporting.alerts.configuration import IntendedUse
from gateway.reporting.configuration import Supplier
from gateway.reporting.history import summary_of
from gateway.reporting.limits import in_force
from gateway.reporting.reportable import Past
from gateway.result import Quantity
from gateway.store import past, people, proof
from gateway.store.opening import Role

__all__ = ["PatientReportError", "patient_report"]


class PatientReportError(Exception):
    """No report can be made; the message says why and what to do."""


def patient_report(
    database: sqlite3.Connection,
    role: Role,
    patient_id: str,
    first: date,
    last: date,
    *,
    supplier: Supplier,
    intended_use: IntendedUse,
    now: datetime,
    paper: Literal["letter", "a4"] = "letter",
    more_fonts: tuple[Path, ...] = (),
) -> bytes:
    """The report of a patient from one local day to another, both included, as PDF.

    Without the supplier's statement of the intended use it shows results and compares nothing.

    Raises:
        PatientReportError: there is no such patient, reportlab is not installed, or a font cannot be used.
    """
    from gateway.reporting.channels.document import page
    from gateway.reporting.channels.document.pen import FontError
    from gateway.reporting.channels.document.period import Period, of_period

    person = proof.person(database, patient_id)
    if person is None:
        raise PatientReportError(
            f"there is no patient {patient_id!r}; 'inr-gateway registry list patients' lists them"
        )
    end = min(datetime.combine(last, time(12), UTC), now)
    period = Period(
        patient_id=person.id,
        name=f"{person.family_name}, {person.given_name}",
        birth_date=date.fromisoformat(person.birth_date),
        sex=person.sex,
        first=first,
        last=last,
        results=_results(database, role, patient_id, first, last),
        limits=in_force(database, intended_use, patient_id, end),
        summary=summary_of(database, patient_id, role, first, last) if intended_use.stated else None,
        providers=people.treating(database, patient_id, utc(end)),
        supplier=supplier,
        made_at=now,
        test=role == "rig",
    )
    try:
        return page.draw(of_period(period), paper, more_fonts)
    except (FontError, page.PaperError) as error:
        raise PatientReportError(str(error)) from None


def _results(database: sqlite3.Connection, role: Role, patient_id: str, first: date, last: date) -> list[Past]:
    """By local day: the instants asked for reach a day further on both sides."""
    since = datetime.combine(first, time(), UTC) - timedelta(days=1)
    before = datetime.combine(last, time(), UTC) + timedelta(days=2)
    found = [
        Past(
            moment(each.taken_at).astimezone(ZoneInfo(each.zone)),
            Quantity.model_validate(json.loads(each.body)["inr"]),
            each.result_key,
        )
        for each in past.earlier(database, role, patient_id, utc(since), utc(before))
    ]
    return [each for each in found if first <= each.taken_at.date() <= last]
