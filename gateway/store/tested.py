"""What the tally asks the store about one patient: tests with their evidence, and the facts of the enrollment."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

__all__ = ["Enrolled", "Tested", "enrolled", "patients", "tested", "zones"]


class Tested(NamedTuple):
    """One test of a patient.

    Attributes:
        result_id: number of the result.
        kind: patient, control, error, calibration or test.
        inr: normalised value, ``>8`` beyond the range.
        taken_at: instant in UTC; for what is no patient result the meter's own local time, without zone.
        origin: meter, person, simulator or replay; empty for what is no patient result.
        held: it waits in quarantine: neither reported nor counted until a named person decides.
        reported_at: when the newest version first left for a provider, or None.
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


# A result that went from one patient to another has a retracted version for the first: a claim may hold it there.
_PATIENT_TESTS = """
SELECT v.result_id, r.kind, r.inr, v.taken_at, v.origin,
       EXISTS (SELECT 1 FROM quarantine q WHERE q.result_id = v.result_id AND q.closed_at IS NULL) AS held,
       (SELECT min(a.started_at) FROM report p JOIN attempt a ON a.report_id = p.id AND a.outcome IS NOT 'not_sent'
         WHERE p.result_id = v.result_id AND p.version = v.version) AS reported_at,
       (SELECT min(e.at) FROM report p JOIN evidence e ON e.report_id = p.id AND e.level IN ('delivered', 'seen')
         WHERE p.result_id = v.result_id AND p.version = v.version) AS acknowledged_at,
       r.meter_key,
       CASE WHEN r.merged_into IS NULL THEN v.status ELSE 'retracted' END AS status,
       v.version,
       CASE WHEN v.origin = 'person' THEN NOT EXISTS (SELECT 1 FROM reading g WHERE g.result_id = v.result_id
         AND g.journal NOT IN (SELECT journal FROM desk)) ELSE 0 END AS by_hand
  FROM version v JOIN result r ON r.id = v.result_id
 WHERE v.patient_id = :patient
   AND v.version = (SELECT max(w.version) FROM version w
                     WHERE w.result_id = v.result_id AND w.patient_id = :patient)
 ORDER BY v.taken_at, v.result_id
"""

# Controls and errors belong to a meter, not to a person; they stand in the statement of whoever had the meter then.
_METER_RUNS = """
SELECT r.id, r.kind, r.inr, r.device_time, '', 0, NULL, NULL, r.meter_key, '', 0, 0
  FROM result r
 WHERE r.kind <> 'patient' AND r.device_time <> '' AND r.merged_into IS NULL
   AND NOT EXISTS (SELECT 1 FROM version v WHERE v.result_id = r.id AND v.patient_id = :patient)
   AND EXISTS (SELECT 1 FROM assignment a WHERE a.patient_id = :patient AND a.meter_key = r.meter_key
               AND substr(a.from_at, 1, 10) <= substr(r.device_time, 1, 10)
               AND (a.to_at IS NULL OR substr(r.device_time, 1, 10) < substr(a.to_at, 1, 10)))
 ORDER BY r.device_time, r.id
"""


def tested(database: sqlite3.Connection, patient_id: str) -> list[Tested]:
    """The tests of a patient in the order of their times, then control runs and errors of the patient's meters."""
    rows = [*database.execute(_PATIENT_TESTS, {"patient": patient_id})]
    rows += database.execute(_METER_RUNS, {"patient": patient_id})
    return [Tested(*row)._replace(held=bool(row[5]), by_hand=bool(row[11])) for row in rows]


def enrolled(database: sqlite3.Connection, patient_id: str) -> Enrolled | None:
    """The newest enrollment, or None."""
    row = database.execute(
        "SELECT payer, mac, diagnosis, valve_type, anticoagulant, warfarin_start, training_date,"
        " training_documented, order_signed_on, order_expires_on"
        " FROM enrollment WHERE patient_id = ? ORDER BY id DESC LIMIT 1",
        (patient_id,),
    ).fetchone()
    return None if row is None else Enrolled(*row)._replace(training_documented=bool(row[7]))


def zones(database: sqlite3.Connection, patient_id: str) -> list[tuple[str, str]]:
    """The patient's zone history: (from_date, IANA name), oldest first."""
    rows = database.execute(
        "SELECT from_date, zone FROM patient_zone WHERE patient_id = ? ORDER BY from_date", (patient_id,)
    )
    return [(row[0], row[1]) for row in rows]


def patients(database: sqlite3.Connection) -> list[str]:
    """Ids of all patients, in order."""
    return [row[0] for row in database.execute("SELECT id FROM patient ORDER BY id")]
