"""Signing a list: the CSV of what is ready, as it was printed, less the lines that a person took out."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from gateway.database import transaction
from gateway.reporting.claims.errors import ClaimError, ImportRefusedError
from gateway.reporting.claims.record import UnitRecord
from gateway.reporting.claims.signing import Signed, named, sign_within
from gateway.reporting.documents.columns import Day, Id
from gateway.reporting.facts import Facts
from gateway.reporting.statements import StatementError
from gateway.reporting.units import UnitsError
from gateway.reporting.units.billers import BillerKind
from gateway.reporting.units.model import Code
from gateway.store.opening import Role
from gateway.tables import Place, Problem, read_files

__all__ = ["Desk", "sign_listed"]


class _Line(BaseModel):
    """One line of the list. What it says of the unit must hold still."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    patient: Id
    period: Annotated[int, Field(ge=1, description="the number of the payer's period")]
    payer: str | None = None
    unit: Annotated[int, Field(ge=1, description="the number of the unit in the statement")]
    code: Annotated[Literal["G0249", "G0249-52", "G0250"], Field(description="G0249, G0249-52 or G0250")]
    date_of_service: Day
    tests: Annotated[str, Field(description="the days of the tests, like 2026-03-14, with blanks between")]
    received: str | None = None
    file_by: str | None = None
    days_left: str | None = None
    flags: str | None = None
    eligibility: str | None = None
    signed_by: str | None = None


class Desk(NamedTuple):
    """Who signs, when, with what words, as what the house bills; `day_for` gives a patient's day, never later."""

    by: str
    at: dt.datetime
    note: str
    role: Role
    biller: BillerKind | None
    day_for: Callable[[Facts], dt.date]


def sign_listed(database: sqlite3.Connection, path: Path, desk: Desk) -> list[Signed]:
    """Sign every unit of a list, or none.

    Raises:
        ClaimError: nobody is named, or the store awaits reconciliation.
        ImportRefusedError: a line cannot be read or holds no longer; every problem is named, nothing is signed.
    """
    named(desk.by)
    rows, problems = read_files([path], {path.stem.lower(): _Line})
    made: list[Signed] = []
    with transaction(database):
        for placed in rows:
            if isinstance(placed.row, _Line):
                found = _signed(database, placed.row, placed.place, desk)
                if isinstance(found, Signed):
                    made.append(found)
                else:
                    problems.append(found)
        if problems:
            ordered = sorted(problems, key=lambda problem: problem.place.line)
            raise ImportRefusedError("\n".join(map(str, ordered)))
    return made


def _signed(database: sqlite3.Connection, line: _Line, place: Place, desk: Desk) -> Signed | Problem:
    service: Code = "G0250" if line.code == "G0250" else "G0249"
    try:
        signed = sign_within(
            database,
            line.patient,
            line.unit,
            as_of=desk.day_for,
            role=desk.role,
            by=desk.by,
            at=desk.at,
            note=desk.note,
            period=line.period,
            service=service,
            biller=desk.biller,
        )
    except (ClaimError, StatementError, UnitsError) as refused:
        return Problem(place, None, str(refused), "take the line out, or see to it")
    changed = _changed(line, signed.record)
    if changed:
        return Problem(place, None, changed, "print the list anew and look at it")
    return signed


def _changed(line: _Line, unit: UnitRecord) -> str:
    """What the line says otherwise than the unit, in words, or nothing."""
    days = " ".join(test.day for test in unit.tests)
    code = "-".join([unit.code, *unit.modifiers])
    if code != line.code:
        return f"patient {line.patient}, unit {line.unit}: its code is {code}"
    if unit.dos != line.date_of_service.isoformat():
        return f"patient {line.patient}, unit {line.unit}: its date of service is {unit.dos}"
    if days.split() != line.tests.split():
        return f"patient {line.patient}, unit {line.unit}: its tests are of {days}"
    return ""
