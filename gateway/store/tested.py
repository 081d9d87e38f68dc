"""What the store tells the tally: a test with its evidence, and the facts of an enrollment."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

__all__ = ["Enrolled", "Tested", "patients", "zones"]


class Tested(NamedTuple):
    """One test of a patient.

    Attributes:
        result_id: number of the result.
        kind: patient, control, error, calibration or test.
        inr: normalised value, ``>8`` beyond the range.
        taken_at: instant in UTC; for what is no patient result the meter's own local time, without zone.
        origin: meter, person, simulator or replay; empty for what is no patient result.
        held: it waits in quarantine, or a named person has dismissed it: neither reported nor counted.
        reported_at: when the newest version first left for a provider, or None. A try that reached nobody is none.
        acknowledged_at: when a treating provider's system accepted the newest version, or None.
        meter_key: vendor and serial.
        status: of the newest version that this patient has: final, corrected, or retracted (it is another's, or no
            test at all); empty for what is no patient result.
        version: number of that version; 0 for what is no patient result.
        by_hand: nothing but entries at the desk stands behind it; no meter has sent it.
    """

    result_id: int
    kind: str
    inr: str
    taken_at: str
    origin: str
    held: bool
    reported_at: str | None
    acknowledged_at: str | None
    meter_key: str
    status: str
    version: int
    by_hand: bool


class Enrolled(NamedTuple):
    """The newest enrollment of a patient, as recorded; dates in ISO form."""

    payer: str
    mac: str
    diagnosis: str
    valve_type: str | None
    anticoagulant: str
    warfarin_start: str | None
    training_date: str | None
    training_documented: bool
    order_signed_on: str | None
    order_expires_on: str | None


def zones(database: sqlite3.Connection, patient_id: str) -> list[tuple[str, str]]:
    """The patient's zone history: (from_date, IANA name), oldest first."""
    rows = database.execute(
        "SELECT from_date, zone FROM patient_zone WHERE patient_id = ? ORDER BY from_date", (patient_id,)
    )
    return [(row[0], row[1]) for row in rows]


def patients(database: sqlite3.Connection) -> list[str]:
    """Ids of all patients, in order."""
    return [row[0] for row in database.execute("SELECT id FROM patient ORDER BY id")]
