"""The payer's answers (X12 835), as a CSV that a person posts back to the claims: all rows of a file or none.

Columns: ``claim_id``, ``posted_on`` and ``status`` (``paid`` or ``denied``); ``group``, ``carc`` and ``rarc``
(remark codes separated by blanks) of one adjustment; ``amount`` in dollars, the adjusted amount of a denial or the
payment; ``payer_control_number`` (CLP07), which a replacement or a void has to name. The same row posted again
changes nothing.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gateway.database import transaction
from gateway.reporting.claims.causes import CARC, GROUPS, RARC, cause_of
from gateway.reporting.claims.errors import ImportRefusedError
from gateway.reporting.claims.signing import named
from gateway.store import claims as store
from gateway.store import decisions
from gateway.tables import AS_UTF_8, SEPARATORS

__all__ = ["COLUMNS", "PostedRows", "denial_of", "import_remittances"]

REQUIRED: Final = ("claim_id", "posted_on", "status")
COLUMNS: Final = (*REQUIRED, "group", "carc", "rarc", "amount", "payer_control_number")
MOST_OCTETS: Final = 64 * 1024 * 1024
_AMOUNT: Final = re.compile(r"(\d{1,8})(?:\.(\d{1,2}))?")
_CONTROL_NUMBER: Final = re.compile(r"[A-Za-z0-9-]{1,50}")
AHEAD: Final = dt.timedelta(hours=14)
"""It is tomorrow already where on earth each day begins first."""
NO_DENIAL: Final = frozenset({"patient_share", "contract"})


class PostedRows(NamedTuple):
    """What an import did: rows posted and rows known before, claims now denied and paid, denials by cause."""

    new: int
    known: int
    denied: int
    paid: int
    causes: dict[str, int]


class _Problem(NamedTuple):
    """Where a file is wrong, and the remedy."""

    file: str
    line: int
    column: str
    what: str
    remedy: str

    def __str__(self) -> str:
        column = f" column {self.column}:" if self.column else ""
        return f"{self.file}:{self.line}:{column} {self.what}; {self.remedy}"


def import_remittances(database: sqlite3.Connection, path: Path, *, by: str, at: dt.datetime) -> PostedRows:
    """Post the rows of a file.

    Raises:
        ClaimError: nobody is named.
        ImportRefusedError: the file or a row cannot be used; every problem is named, and nothing was posted.
    """
    named(by)
    rows: list[store.Remittance] = []
    problems: list[_Problem] = []
    for item in _read(path):
        if isinstance(item, _Problem):
            problems.append(item)
        else:
            rows.append(item)
    with transaction(database):
        problems += _unknown_claims(database, str(path), rows, (at + AHEAD).date().isoformat())
        if problems:
            ordered = sorted(problems, key=lambda problem: problem.line)
            raise ImportRefusedError("\n".join(str(problem) for problem in ordered))
        posted = _post(database, rows, by, at)
        if posted.new:
            decisions.record(database, at, by, "denials import", path.name, f"{posted.new} rows")
    return posted


def denial_of(database: sqlite3.Connection, claim: str) -> store.Remittance | None:
    """Why the payer denied a claim: of its newest answer the first adjustment that is a denial, or None.

    The write-off and the patient's share that stand beside it say nothing of the reason.
    """
    rows = [each.row for each in store.remittances(database, claim) if each.row.status == "denied"]
    newest = max((row.posted_on for row in rows), default="")
    found = [row for row in rows if row.posted_on == newest]
    return next((row for row in found if row.cause not in NO_DENIAL), found[0] if found else None)


def _post(database: sqlite3.Connection, rows: list[store.Remittance], by: str, at: dt.datetime) -> PostedRows:
    new = 0
    causes: dict[str, int] = {}
    touched: dict[str, None] = {}
    for row in rows:
        if not store.post(database, row, by, at):
            continue
        new += 1
        touched[row.claim_id] = None
        store.record(database, row.claim_id, at, by, row.status, f"{row.cause} {row.group_code} {row.carc}".strip())
        if row.status == "denied" and row.cause not in NO_DENIAL:
            causes[row.cause] = causes.get(row.cause, 0) + 1
    states = Counter(_settle(database, identifier) for identifier in touched)
    return PostedRows(new, len(rows) - new, states["denied"], states["paid"], causes)


def _settle(database: sqlite3.Connection, identifier: str) -> str | None:
    """Give a claim the state of its last answer, in whatever order files are posted; returns it.

    So too for a claim that voids another: a payer who takes it needs it no more, one who refuses it keeps the old
    one. What is void or replaced itself stays so.
    """
    claim, answer = store.claim(database, identifier), store.last_answer(database, identifier)
    if claim is None or answer is None or claim.state not in store.STANDING:
        return None
    if claim.state != answer:
        store.set_state(database, identifier, answer)
    return answer


def _unknown_claims(
    database: sqlite3.Connection, file: str, rows: list[store.Remittance], latest: str
) -> Iterator[_Problem]:
    for row in rows:
        claim = store.claim(database, row.claim_id)
        line = int(row.source.rsplit(":", 1)[1])
        if claim is None:
            what = f"there is no claim {row.claim_id}"
            yield _Problem(file, line, "claim_id", what, "take the id from claims.csv of the export")
        elif row.posted_on < claim.dos:
            what = f"{row.posted_on} lies before the date of service {claim.dos}"
            yield _Problem(file, line, "posted_on", what, "correct the date")
        elif row.posted_on > latest:
            yield _Problem(file, line, "posted_on", f"{row.posted_on} lies in the future", "correct the date")


def _read(path: Path) -> Iterator[store.Remittance | _Problem]:
    file = str(path)
    try:
        if path.stat().st_size > MOST_OCTETS:
            yield _Problem(file, 1, "", f"is larger than {MOST_OCTETS} octets", "split it")
            return
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        yield _Problem(file, 1, "", f"cannot be read: {error.strerror}", "name a readable file")
        return
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        yield _Problem(file, line, "", "is not UTF-8", AS_UTF_8)
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            here, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                wrong = list(_header(file, here, header))
                if wrong:
                    yield from wrong
                    return
            elif len(cells) != len(header):
                what = f"has {len(cells)} cells, the header has {len(header)}"
                yield _Problem(file, here, "", what, "count the commas; put a text that holds one in quotes")
            else:
                yield from _row(file, here, dict(zip(header, (cell.strip() for cell in cells), strict=True)))
    except csv.Error as error:
        yield _Problem(file, reader.line_num, "", f"is no CSV: {error}", "look for an unclosed quote")
    if header is None:
        yield _Problem(file, 1, "", "has no header", f"the first line names the columns: {', '.join(COLUMNS)}")


def _header(file: str, line: int, header: list[str]) -> Iterator[_Problem]:
    for sign, separated in (SEPARATORS if len(header) == 1 else {}).items():
        if sign in header[0]:
            yield _Problem(file, line, "", f"is separated by {separated}", "separate the cells by commas")
            return
    remedy = f"the columns are {', '.join(COLUMNS)}"
    for name in header:
        if name not in COLUMNS:
            yield _Problem(file, line, name or "(empty)", "is no column of this file", remedy)
        elif header.count(name) > 1:
            yield _Problem(file, line, name, "stands there twice", "leave one of them out")
    for name in REQUIRED:
        if name not in header:
            yield _Problem(file, line, name, "is missing", remedy)


def _row(file: str, line: int, cells: dict[str, str]) -> Iterator[store.Remittance | _Problem]:
    problems = list(_wrong_cells(file, line, cells))
    if problems:
        yield from problems
        return
    rarcs = tuple(sorted(cells.get("rarc", "").upper().split()))
    carc = cells.get("carc", "").upper()
    status = cells["status"].lower()
    yield store.Remittance(
        claim_id=cells["claim_id"].upper(),
        posted_on=cells["posted_on"],
        status=status,
        group_code=cells.get("group", "").upper(),
        carc=carc,
        rarc=" ".join(rarcs),
        amount_cents=_cents(cells.get("amount", "")) or 0,
        payer_control_number=cells.get("payer_control_number", ""),
        cause=cause_of(carc, rarcs).name if carc or status == "denied" else "",
        source=f"{file}:{line}",
    )


def _wrong_cells(file: str, line: int, cells: dict[str, str]) -> Iterator[_Problem]:
    def problem(column: str, what: str, remedy: str) -> _Problem:
        return _Problem(file, line, column, what, remedy)

    for name in REQUIRED:
        if not cells[name]:
            yield problem(name, "is empty", "fill it")
    if cells["posted_on"] and not _is_date(cells["posted_on"]):
        yield problem("posted_on", f"{cells['posted_on']!r} is no date", "write it like 2026-03-14")
    status = cells["status"].lower()
    if status and status not in ("paid", "denied"):
        yield problem("status", f"{cells['status']!r} is neither", "write paid or denied")
    group, carc = cells.get("group", "").upper(), cells.get("carc", "").upper()
    if group and group not in GROUPS:
        yield problem("group", f"{group!r} is no group code", f"use one of {', '.join(GROUPS)}")
    if carc and not CARC.fullmatch(carc):
        yield problem("carc", f"{carc!r} has not the form of an adjustment reason code", "write it like 119 or B7")
    if status == "denied" and not carc:
        yield problem("carc", "is empty", "a denial has an adjustment reason code")
    if carc and not group:
        yield problem("group", "is empty", "an adjustment has a group code, for example CO")
    for rarc in cells.get("rarc", "").upper().split():
        if not RARC.fullmatch(rarc):
            yield problem("rarc", f"{rarc!r} has not the form of a remark code", "write it like N386 or MA13")
    if cells.get("amount") and _cents(cells["amount"]) is None:
        yield problem("amount", f"{cells['amount']!r} is no amount", "write dollars like 112.50")
    number = cells.get("payer_control_number", "")
    if number and not _CONTROL_NUMBER.fullmatch(number):
        yield problem("payer_control_number", "has signs other than letters, digits and hyphens", "correct it")


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and bool(dt.date.fromisoformat(text))
    except ValueError:
        return False


def _cents(text: str) -> int | None:
    found = _AMOUNT.fullmatch(text)
    return None if found is None else int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))
