"""Signatures, claims and what payers answered. A claim is frozen from the moment it is exported."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, cast

from gateway.clock import utc
from gateway.reporting.units.model import ClaimedUnit, Code
from gateway.store.rows import new_id

__all__ = [
    "ClaimRow",
    "Posted",
    "Remittance",
    "SignOff",
    "claim",
    "claimed_units",
    "claims",
    "events",
    "freeze",
    "frozen_tests",
    "held_by",
    "holding",
    "in_the_way",
    "last_answer",
    "payer_control_number",
    "post",
    "record",
    "remittances",
    "set_state",
    "sign",
    "sign_off",
    "sign_offs",
    "signed_patients",
    "unused_sign_offs",
]

STANDING = ("exported", "denied", "paid")
"""States in which a claim holds its tests. A denied claim does too, until a named person voids or replaces it."""


class SignOff(NamedTuple):
    """One signature. `content` is the JSON text whose SHA-256 is `content_sha256`."""

    id: int
    patient_id: str
    content_sha256: str
    content: str
    flags: str
    as_of: str
    by_name: str
    at: str
    note: str


class ClaimRow(NamedTuple):
    """One claim as it stands. Dates and instants are texts; `content` is JSON."""

    id: str
    patient_id: str
    code: str
    modifiers: str
    frequency: int
    follows: str | None
    dos: str
    file_by: str
    charge_cents: int
    state: str
    content: str
    content_sha256: str
    sign_off_id: int | None
    exported_by: str
    exported_at: str


class Remittance(NamedTuple):
    """One row of what a payer said of a claim."""

    claim_id: str
    posted_on: str
    status: str
    group_code: str
    carc: str
    rarc: str
    amount_cents: int
    payer_control_number: str
    cause: str
    source: str


class Posted(NamedTuple):
    """A remittance with who posted it and when."""

    row: Remittance
    by_name: str
    at: str


_SIGN_OFF = "id, patient_id, content_sha256, content, flags, as_of, by_name, at, note"
_CLAIM = ", ".join(ClaimRow._fields)
_REMITTANCE = ", ".join(Remittance._fields)


# ---------------------------------------------------------------- for the tally


def claimed_units(database: sqlite3.Connection, patient_id: str) -> tuple[ClaimedUnit, ...]:
    """The units of a patient that claims hold now, by date of service: what the tally must leave alone."""
    rows = database.execute(
        "SELECT c.id, c.dos, c.code, c.modifiers, t.test_id FROM claim c JOIN claim_test t ON t.claim_id = c.id"
        " WHERE c.patient_id = ? AND t.standing = 1 ORDER BY c.dos, c.id, t.place",
        (patient_id,),
    )
    found: dict[str, tuple[list[str], str, str, str]] = {}
    for identifier, dos, code, modifiers, test_id in rows:
        found.setdefault(identifier, ([], dos, code, modifiers))[0].append(test_id)
    return tuple(
        ClaimedUnit(tuple(tests), dt.date.fromisoformat(dos), cast("Code", code), tuple(modifiers.split()))
        for tests, dos, code, modifiers in found.values()
    )


def frozen_tests(database: sqlite3.Connection, patient_id: str) -> dict[str, str]:
    """When each test that a standing claim holds was taken, as it was exported.

    The tally must know a claimed test even after its result was retracted or given to another patient.
    """
    rows = database.execute(
        "SELECT test_id, taken_at FROM claim_test WHERE patient_id = ? AND standing = 1", (patient_id,)
    )
    return {row[0]: row[1] for row in rows}


# ---------------------------------------------------------------- signatures


def sign(
    database: sqlite3.Connection,
    *,
    patient_id: str,
    content: str,
    content_sha256: str,
    flags: Sequence[str],
    as_of: dt.date,
    by: str,
    at: datetime,
    note: str,
) -> int:
    """Keep a signature and return its number."""
    inserted = database.execute(
        "INSERT INTO sign_off (patient_id, content_sha256, content, flags, as_of, by_name, at, note)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (patient_id, content_sha256, content, " ".join(flags), as_of.isoformat(), by, utc(at), note),
    )
    return new_id(inserted)


def sign_offs(database: sqlite3.Connection, patient_id: str, content_sha256: str) -> list[SignOff]:
    """Signatures on exactly this content, newest first."""
    rows = database.execute(
        f"SELECT {_SIGN_OFF} FROM sign_off WHERE patient_id = ? AND content_sha256 = ? ORDER BY id DESC",
        (patient_id, content_sha256),
    )
    return [SignOff(*row) for row in rows]


def sign_off(database: sqlite3.Connection, identifier: int) -> SignOff:
    """The signature with this number."""
    return SignOff(*database.execute(f"SELECT {_SIGN_OFF} FROM sign_off WHERE id = ?", (identifier,)).fetchone())


def unused_sign_offs(database: sqlite3.Connection, patient_id: str) -> list[SignOff]:
    """A patient's signatures from which a claim may still be made, oldest first.

    A signature is used up by its claim, also when that is void. One on a test of which a later signature speaks
    holds nothing any more, whatever becomes of the later one: an older word never undoes a newer one.
    """
    rows = database.execute(
        f"SELECT {_SIGN_OFF} FROM sign_off WHERE patient_id = :patient AND id >="
        " (SELECT min(s.id) FROM sign_off s WHERE s.patient_id = :patient AND NOT EXISTS"
        "   (SELECT 1 FROM claim c WHERE c.patient_id = :patient AND c.sign_off_id = s.id)) ORDER BY id DESC",
        {"patient": patient_id},
    )
    used = {
        row[0]
        for row in database.execute(
            "SELECT sign_off_id FROM claim WHERE patient_id = ? AND sign_off_id IS NOT NULL", (patient_id,)
        )
    }
    found: list[SignOff] = []
    later: set[tuple[str, str]] = set()
    for row in rows:
        each = SignOff(*row)
        content = json.loads(each.content)
        tests = {(content["code"], test["id"]) for test in content["tests"]}
        if each.id not in used and not tests & later:
            found.append(each)
        later |= tests
    return found[::-1]


def signed_patients(database: sqlite3.Connection) -> list[str]:
    """Patients with any signature, in order."""
    return [row[0] for row in database.execute("SELECT DISTINCT patient_id FROM sign_off ORDER BY patient_id")]


# ---------------------------------------------------------------- claims


def claim(database: sqlite3.Connection, identifier: str) -> ClaimRow | None:
    """The claim with this id, or None."""
    row = database.execute(f"SELECT {_CLAIM} FROM claim WHERE id = ?", (identifier,)).fetchone()
    return None if row is None else ClaimRow(*row)


def claims(
    database: sqlite3.Connection, patient_id: str | None = None, *, state: str | None = None
) -> list[ClaimRow]:
    """Claims by patient and date of service; those of one patient or one state only where named."""
    rows = database.execute(
        f"SELECT {_CLAIM} FROM claim WHERE (:patient IS NULL OR patient_id = :patient)"
        " AND (:state IS NULL OR state = :state) ORDER BY patient_id, dos, frequency, id",
        {"patient": patient_id, "state": state},
    )
    return [ClaimRow(*row) for row in rows]


def held_by(database: sqlite3.Connection, patient_id: str, code: str, tests: Sequence[str]) -> ClaimRow | None:
    """A standing claim that holds one of these tests, or None."""
    marks = ", ".join("?" * len(tests))
    row = database.execute(
        f"SELECT {_CLAIM} FROM claim WHERE id IN (SELECT claim_id FROM claim_test WHERE patient_id = ? AND code = ?"
        f" AND standing = 1 AND test_id IN ({marks})) ORDER BY id LIMIT 1",
        (patient_id, code, *tests),
    ).fetchone()
    return None if row is None else ClaimRow(*row)


def holding(database: sqlite3.Connection, result_id: int) -> list[str]:
    """Ids of the standing claims that hold the test of this result, whosever it was when they were exported."""
    rows = database.execute(
        "SELECT DISTINCT claim_id FROM claim_test WHERE standing = 1 AND test_id = ?"
        " AND patient_id IN (SELECT patient_id FROM version WHERE result_id = ?) ORDER BY claim_id",
        (str(result_id), result_id),
    )
    return [row[0] for row in rows]


def in_the_way(database: sqlite3.Connection, patient_id: str, code: str, tests: Sequence[str]) -> ClaimRow | None:
    """A standing claim by which one of these tests is claimed already, or None.

    It may be that of another patient, whose the test was then, or name a result that was merged into one of these.
    """
    marks = ", ".join("?" * len(tests))
    row = database.execute(
        f"SELECT {_CLAIM} FROM claim WHERE id IN (SELECT t.claim_id FROM claim_test t"
        f" WHERE t.patient_id IN (SELECT ? UNION SELECT patient_id FROM version WHERE result_id IN ({marks}))"
        f" AND t.code = ? AND t.standing = 1 AND (t.test_id IN ({marks}) OR EXISTS (SELECT 1 FROM result r"
        f"  WHERE r.id = CAST(t.test_id AS INTEGER) AND CAST(r.merged_into AS TEXT) IN ({marks}))))"
        " ORDER BY id LIMIT 1",
        (patient_id, *tests, code, *tests, *tests),
    ).fetchone()
    return None if row is None else ClaimRow(*row)


def freeze(
    database: sqlite3.Connection, row: ClaimRow, tests: Sequence[tuple[str, str]], *, standing: bool
) -> None:
    """Keep a claim and its tests, given as (id, taken at); a standing claim holds them from now on."""
    marks = ", ".join("?" * len(row))
    database.execute(f"INSERT INTO claim ({_CLAIM}) VALUES ({marks})", row)
    database.executemany(
        "INSERT INTO claim_test (claim_id, place, patient_id, code, test_id, taken_at, standing)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (row.id, place, row.patient_id, row.code, test_id, taken_at, int(standing))
            for place, (test_id, taken_at) in enumerate(tests)
        ],
    )


def set_state(database: sqlite3.Connection, identifier: str, state: str) -> None:
    """Give a claim another state; one that is void or replaced lets go of its tests."""
    database.execute("UPDATE claim SET state = ? WHERE id = ?", (state, identifier))
    if state not in STANDING:
        database.execute("UPDATE claim_test SET standing = 0 WHERE claim_id = ?", (identifier,))


def record(
    database: sqlite3.Connection, identifier: str, at: datetime, by: str, what: str, detail: str = ""
) -> None:
    """Write down what happened to a claim."""
    database.execute(
        "INSERT INTO claim_event (claim_id, at, by_name, what, detail) VALUES (?, ?, ?, ?, ?)",
        (identifier, utc(at), by, what, detail),
    )


def events(database: sqlite3.Connection, identifier: str) -> list[sqlite3.Row]:
    """What happened to a claim, oldest first: at, by_name, what, detail."""
    return database.execute(
        "SELECT at, by_name, what, detail FROM claim_event WHERE claim_id = ? ORDER BY id", (identifier,)
    ).fetchall()


# ---------------------------------------------------------------- the payer's answers


def post(database: sqlite3.Connection, row: Remittance, by: str, at: datetime) -> bool:
    """Keep one row of a payer's answer; False when it is there already."""
    marks = ", ".join("?" * (len(row) + 2))
    inserted = database.execute(
        f"INSERT OR IGNORE INTO remittance ({_REMITTANCE}, by_name, at) VALUES ({marks})", (*row, by, utc(at))
    )
    return inserted.rowcount > 0


def remittances(database: sqlite3.Connection, identifier: str) -> list[Posted]:
    """What the payer said of a claim, in the order of posting."""
    rows = database.execute(
        f"SELECT {_REMITTANCE}, by_name, at FROM remittance WHERE claim_id = ? ORDER BY id", (identifier,)
    )
    return [Posted(Remittance(*row[:-2]), row[-2], row[-1]) for row in rows]


def payer_control_number(database: sqlite3.Connection, identifier: str) -> str:
    """The payer's own number of a claim (X12 835, CLP07), empty where none was posted.

    Of a replacement to which the payer gave none, that of the claim it replaced: the payer knows no other.
    """
    row = database.execute(
        "WITH RECURSIVE chain (id, follows, steps) AS (SELECT id, follows, 0 FROM claim WHERE id = ?"
        "  UNION ALL SELECT c.id, c.follows, steps + 1 FROM claim c JOIN chain ON c.id = chain.follows)"
        " SELECT r.payer_control_number FROM chain JOIN remittance r ON r.claim_id = chain.id"
        " WHERE r.payer_control_number <> '' ORDER BY chain.steps, r.posted_on DESC, r.id DESC LIMIT 1",
        (identifier,),
    ).fetchone()
    return "" if row is None else str(row[0])


def last_answer(database: sqlite3.Connection, identifier: str) -> str | None:
    """``paid`` or ``denied``, as the payer said last by its own date, in whatever order it was posted; or None."""
    row = database.execute(
        "SELECT status FROM remittance WHERE claim_id = ? ORDER BY posted_on DESC, id DESC LIMIT 1", (identifier,)
    ).fetchone()
    return None if row is None else str(row[0])
