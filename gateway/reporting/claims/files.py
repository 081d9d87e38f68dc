"""The files of an export: neutral JSON and CSV of all claims, and for each claim its service lines.

Made from the frozen records alone, so that the same claims give the same octets on any day.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import re
import tempfile
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.reporting.claims.errors import ClaimError
from gateway.reporting.claims.record import ClaimRecord
from gateway.reporting.claims.x12 import amount, institutional_line, professional_line

__all__ = ["alone_in", "files_of", "left_over", "neutral", "prepare_folder", "write_files"]

COLUMNS = (
    "claim_id",
    "frequency_code",
    "follows",
    "payer_control_number",
    "patient",
    "payer",
    "contractor",
    "code",
    "modifiers",
    "quantity",
    "charge",
    "charge_cents",
    "date_of_service",
    "file_by",
    "first_test",
    "last_test",
    "tests",
    "diagnosis",
    "ordering_provider",
    "ordering_npi",
    "sv101",
    "nte",
    "item_19",
    "sv202",
    "block_80",
    "review_flags",
    "policy",
    "signed_by",
    "signed_at",
    "exported_by",
    "exported_at",
)
_OF_CLAIM = re.compile(r"[0-9A-F]{20}\.(json|837p\.x12|837i\.x12)").fullmatch


def files_of(claims: Sequence[ClaimRecord]) -> dict[str, bytes]:
    """Name and octets of every file, for claims in any order."""
    ordered = sorted(claims, key=lambda claim: (claim.unit.patient, claim.unit.dos, claim.frequency, claim.id))
    objects = [neutral(claim) for claim in ordered]
    made = {"claims.json": _json({"claims": objects}), "claims.csv": _csv(objects)}
    for claim in ordered:
        made[f"{claim.id}.json"] = _json(neutral(claim))
        made[f"{claim.id}.837p.x12"] = professional_line(claim).encode("ascii")
        institutional = institutional_line(claim)
        if institutional is not None:
            made[f"{claim.id}.837i.x12"] = institutional.encode("ascii")
    return made


def neutral(claim: ClaimRecord) -> dict[str, Any]:
    """One claim as plain JSON values, with the words of every form."""
    unit = claim.unit
    return {
        "claim_id": claim.id,
        "frequency_code": str(claim.frequency),
        "follows": claim.follows,
        "payer_control_number": claim.payer_control_number or None,
        "patient": unit.patient,
        "payer": unit.payer,
        "contractor": unit.mac,
        "code": unit.code,
        "modifiers": list(unit.modifiers),
        "quantity": claim.quantity,
        "charge": amount(claim.charge_cents),
        "charge_cents": claim.charge_cents,
        "full_charge_cents": claim.full_cents,
        "date_of_service": unit.dos,
        "file_by": unit.file_by,
        "first_test": unit.first_test,
        "last_test": unit.last_test,
        "tests": [test.model_dump(mode="json") for test in unit.tests],
        "diagnosis": list(unit.diagnosis),
        "ordering_provider": None if claim.orderer is None else claim.orderer.model_dump(mode="json"),
        "ended_by": unit.ended_by,
        "sv101": claim.sv101,
        "nte": claim.nte or None,
        "item_19": claim.item_19 or None,
        "sv202": claim.sv202,
        "block_80": claim.block_80 or None,
        "review_flags": list(unit.review_flags),
        "policy": unit.policy,
        "signed_by": claim.signed_by,
        "signed_at": claim.signed_at,
        "exported_by": claim.exported_by,
        "exported_at": claim.exported_at,
        "content_sha256": claim.sha256,
    }


def prepare_folder(folder: Path) -> None:
    """Make the folder and see that files can be written there, before any claim is marked.

    Raises:
        ClaimError: it cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ClaimError(f"{folder}: cannot be written to: {error.strerror}; name a folder of your own") from error


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """One export after another into one folder: whoever asks the store last also writes last.

    Raises:
        ClaimError: it cannot be made, or not be written to.
    """
    prepare_folder(folder)
    with _opened(folder) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def left_over(folder: Path, files: Container[str]) -> list[str]:
    """Ids of claims whose files an earlier export left in the folder, and which are not in this one, of everybody.

    They have been paid, denied, voided or replaced since: not to be submitted again.
    """
    found = {
        path.name.split(".")[0] for path in folder.iterdir() if path.name not in files and _OF_CLAIM(path.name)
    }
    return sorted(found)


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write files so that each is there whole or not at all. One that has these octets already is left alone.

    Raises:
        ClaimError: the disk refuses; the claims stand in the store, and the same export again writes the files.
    """
    try:
        for name, octets in files.items():
            _write(folder / name, octets)
        with _opened(folder) as descriptor:
            os.fsync(descriptor)  # else the names may be gone after a power failure
    except OSError as error:
        raise ClaimError(
            f"{folder}: {error.strerror}; the claims are kept in the store: run the same export again"
        ) from error


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(path: Path, octets: bytes) -> None:
    if path.is_file() and path.read_bytes() == octets:
        return
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _csv(objects: Iterable[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    writer.writerow(COLUMNS)
    for each in objects:
        orderer = each["ordering_provider"] or {}
        row = {
            **each,
            "tests": [test["id"] for test in each["tests"]],
            "ordering_provider": orderer.get("name"),
            "ordering_npi": orderer.get("npi"),
        }
        writer.writerow([_cell(row[name]) for name in COLUMNS])
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(str(part) for part in value)
    return "" if value is None else str(value)
