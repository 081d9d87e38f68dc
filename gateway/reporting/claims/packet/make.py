"""One packet: the PDF and its manifest."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from gateway.reporting.claims.basis import kept_basis
from gateway.reporting.claims.errors import ClaimError
from gateway.reporting.claims.files import prepare_folder, write_files
from gateway.reporting.claims.packet.claimed import Claimed
from gateway.reporting.claims.packet.contents import Contents
from gateway.reporting.claims.packet.gather import gather
from gateway.reporting.claims.packet.pdf import as_pdf
from gateway.reporting.claims.record import ClaimRecord
from gateway.reporting.claims.signing import unit_numbered
from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.units import Unit
from gateway.store import claims as store
from gateway.store import documents

__all__ = ["Packet", "packet", "write_packet"]

ATTACHMENT: Final = "attachment"
"""Kind of the items that are files of their own."""
MANIFEST_SCHEMA: Final = "inr-gateway/audit-packet/1"


class Packet(NamedTuple):
    """The octets of both files, and those of the files attached to its documents, by the names they get."""

    pdf: bytes
    manifest: bytes
    attached: dict[str, bytes]


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
    claimed = _claimed(database, known, unit)
    contents = gather(database, known, number, unit, claimed)
    pdf = as_pdf(contents)
    attached = {}
    for item in contents.items:
        octets = documents.attachment(database, item.sha256) if item.kind == ATTACHMENT else None
        if octets is not None:
            attached[_file_name(item.facts["document"], item.name)] = octets
    return Packet(pdf, _manifest(known, number, unit, contents, pdf, claimed), attached)


def write_packet(made: Packet, path: Path) -> Path:
    """Write ``FILE.pdf`` and, beside it, ``FILE.manifest.json`` and ``FILE.files``; returns where the manifest is.

    Raises:
        ClaimError: the name does not end in ``.pdf``, or the folder cannot be written to.
    """
    if path.suffix.lower() != ".pdf":
        raise ClaimError(f"--to {path}: name a file that ends in .pdf")
    manifest = path.with_suffix(".manifest.json")
    prepare_folder(path.parent)
    named = json.loads(made.manifest)
    named["packet"]["file"] = path.name
    folder = folder_of(path)
    for item in named["items"]:
        if item["kind"] == ATTACHMENT:
            item["facts"]["file"] = f"{folder.name}/{_file_name(item['facts']['document'], item['name'])}"
    if made.attached:
        prepare_folder(folder)
        write_files(folder, made.attached)
    write_files(path.parent, {path.name: made.pdf, manifest.name: _json(named)})
    return manifest


def folder_of(path: Path) -> Path:
    """Where the files attached to the documents of the packet ``FILE.pdf`` are written."""
    return path.with_suffix(".files")


def _file_name(document: int, name: str) -> str:
    """A name that any file system takes and that leads nowhere else; the manifest has the name as it was given."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", name.replace("\\", "/").rsplit("/", 1)[-1])[-80:]
    return f"{document}-{plain}"


def _claimed(database: sqlite3.Connection, known: Tallied, unit: Unit) -> Claimed | None:
    """The claim of a claimed unit, and what it rested on."""
    if unit.status != "claimed":
        return None
    holder = store.held_by(database, known.patient_id, unit.code, unit.tests)
    if holder is None:
        return None
    return Claimed(holder, ClaimRecord.read(holder.content), kept_basis(database, holder.id))


def _manifest(
    known: Tallied, number: int, unit: Unit, contents: Contents, pdf: bytes, claimed: Claimed | None
) -> bytes:
    statement = known.statement
    subjects = {*unit.tests, f"unit {number}"}
    then: dict[str, object] = {}
    if claimed is not None:
        basis = claimed.basis
        then["claim"] = json.loads(claimed.row.content)
        then["rested_on"] = None if basis is None else basis.model_dump(mode="json")
    return _json(
        {
            "schema": MANIFEST_SCHEMA,
            "title": contents.title,
            "patient": known.patient_id,
            "as_of": statement.as_of.isoformat(),
            "policy": known.policy_of(unit).id,
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
            **then,
        }
    )


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
