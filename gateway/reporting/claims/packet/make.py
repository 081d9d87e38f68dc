"""One packet: the PDF and its manifest."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from gateway.reporting.claims.errors import ClaimError
from gateway.reporting.claims.files import prepare_folder, write_files
from gateway.reporting.claims.packet.contents import Contents
from gateway.reporting.claims.packet.gather import gather
from gateway.reporting.claims.packet.pdf import as_pdf
from gateway.reporting.claims.record import ClaimRecord
from gateway.reporting.claims.signing import unit_numbered
from gateway.reporting.claims.tallied import Tallied, without
from gateway.reporting.units import Unit
from gateway.store import claims as store

__all__ = ["Packet", "packet", "write_packet"]

MANIFEST_SCHEMA: Final = "inr-gateway/audit-packet/1"


class Packet(NamedTuple):
    """The octets of both files."""

    pdf: bytes
    manifest: bytes


def packet(database: sqlite3.Connection, known: Tallied, number: int) -> Packet:
    """The packet of one unit. The same facts give the same octets.

    Args:
        database: the store.
        known: the patient's tally, made with a trace.
        number: of the unit, from 1.

    Raises:
        ClaimError: there is no such unit, or the library that draws is not installed.
    """
    unit = unit_numbered(known, number)
    contents = gather(database, known, number, unit, _before(database, known, unit))
    pdf = as_pdf(contents)
    return Packet(pdf, _manifest(known, contents, pdf, {*unit.tests, f"unit {number}"}))


def write_packet(made: Packet, path: Path) -> Path:
    """Write ``FILE.pdf`` and, beside it, ``FILE.manifest.json``; returns where the manifest is.

    Raises:
        ClaimError: the name does not end in ``.pdf``, or the folder cannot be written to.
    """
    if path.suffix.lower() != ".pdf":
        raise ClaimError(f"--to {path}: name a file that ends in .pdf")
    manifest = path.with_suffix(".manifest.json")
    prepare_folder(path.parent)
    named = json.loads(made.manifest)
    named["packet"]["file"] = path.name
    write_files(path.parent, {path.name: made.pdf, manifest.name: _json(named)})
    return manifest


def _before(database: sqlite3.Connection, known: Tallied, unit: Unit) -> Tallied | None:
    """The tally on the day of the signature, had the unit not been claimed; None for an unclaimed unit."""
    holder = store.held_by(database, known.patient_id, unit.code, unit.tests)
    if holder is None or unit.status != "claimed":
        return None
    record = ClaimRecord.read(holder.content).unit
    signatures = store.sign_offs(database, known.patient_id, record.sha256)
    as_of = dt.date.fromisoformat(signatures[0].as_of if signatures else record.dos)
    return without(known, record.test_ids, as_of, trace=True)


def _manifest(known: Tallied, contents: Contents, pdf: bytes, subjects: set[str]) -> bytes:
    statement = known.statement
    return _json(
        {
            "schema": MANIFEST_SCHEMA,
            "title": contents.title,
            "patient": known.patient_id,
            "as_of": statement.as_of.isoformat(),
            "policy": known.policy.id,
            "packet": {"file": "", "sha256": hashlib.sha256(pdf).hexdigest(), "octets": len(pdf)},
            "items": [
                {"kind": item.kind, "name": item.name, "sha256": item.sha256, "facts": dict(item.facts)}
                for item in contents.items
            ],
            "trace": [
                {"about": step.subject, "rule": step.rule, "finding": step.finding, "facts": dict(step.facts)}
                for step in statement.trace or ()
                if step.subject in subjects
            ],
        }
    )


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
