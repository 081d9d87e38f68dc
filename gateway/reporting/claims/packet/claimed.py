"""Of a claimed unit: what was claimed, and what came to light later."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from gateway.reporting.claims.basis import KEPT_AS, Basis
from gateway.reporting.claims.differences import differences
from gateway.reporting.claims.packet.contents import Item, Section, Table
from gateway.reporting.claims.packet.paper import items_of, papers_of_unit, recorded, said_by, subject_of
from gateway.reporting.claims.record import ClaimRecord
from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.claims.x12 import amount
from gateway.reporting.policies import shipped_policies
from gateway.reporting.units import Policy
from gateway.store import claims as store
from gateway.store import proof

__all__ = ["Claimed", "as_claimed", "came_later"]

TOLD_ELSEWHERE = ("exported", KEPT_AS, "denied", "paid")
"""What the history of every claim begins with, and what the payer's own rows say better."""


class Claimed(NamedTuple):
    """A standing claim, what it says, and what it rested on (None: it is older than the keeping of that)."""

    row: store.ClaimRow
    record: ClaimRecord
    basis: Basis | None

    @property
    def policy_sha256(self) -> str:
        """Digest of the policy's options when it was claimed; empty where it was not kept."""
        return "" if self.basis is None else self.basis.policy_sha256

    def policy(self, known: Tallied) -> Policy | None:
        """The policy that it was claimed under, if it is still there."""
        unit = self.record.unit
        found = [each for each in (*known.policies, *shipped_policies()) if each.id == unit.policy]
        return found[0].for_service(unit.code) if found else None


def as_claimed(claimed: Claimed) -> Section:
    """The frozen content of the claim."""
    unit = claimed.record.unit
    lines = (
        f"For {' '.join(part for part in (unit.payer, unit.mac) if part)}, under policy {unit.policy}. Diagnoses: "
        f"{', '.join(unit.diagnosis)}; the first {unit.covered} covered on the date of service.",
        f"Frozen with digest {claimed.row.content_sha256}; the manifest has it whole.",
    )
    rows = [
        (
            test.id,
            test.day,
            test.inr,
            f"{test.source} {test.meter or ''}".strip(),
            test.reported_at or "",
            test.reviewed_at or test.acknowledged_at or "",
            "; ".join(part for part in ("attested" if test.attested else "", test.early_reason or "") if part),
        )
        for test in unit.tests
    ]
    columns = ("Test", "Day", "INR", "Source", "Reported", "Evidence", "Beside")
    return Section("As it was claimed", lines, Table(columns, rows, (0.06, 0.1, 0.06, 0.2, 0.2, 0.2, 0.18)))


def came_later(database: sqlite3.Connection, known: Tallied, claimed: Claimed, items: list[Item]) -> Section:
    """Later versions of its tests, later documents, what the payer said, and what the claim says otherwise now."""
    rows = [
        *_versions(database, known, claimed, items),
        *_documents(database, known, claimed, items),
        *_history(database, claimed),
    ]
    words = differences([known], claimed.record)
    lines = [f"Known otherwise now: {each}." for each in words]
    if not rows and not lines:
        lines = ["Nothing: what was known when it was claimed is what is known now."]
    table = Table(("What", "Says", "Recorded"), rows, (0.2, 0.5, 0.3)) if rows else None
    return Section("What came after the claim", lines, table)


def _versions(
    database: sqlite3.Connection, known: Tallied, claimed: Claimed, items: list[Item]
) -> Iterator[tuple[str, str, str]]:
    for test, number in (claimed.basis.versions if claimed.basis else {}).items():
        for version in proof.later_versions(database, int(test), known.patient_id, number):
            body = json.loads(version.body)
            said = f"taken at {version.taken_at}, INR {(body.get('inr') or {}).get('text', '')}"
            if version.status == "retracted":
                said = "taken back: it is not this patient's, or no valid test"
            reports = proof.reports(database, version.result_id, version.version)
            told = f"; reported {', '.join(each.control_id for each in reports)}" if reports else "; not reported"
            what = f"test {test}, version {version.version}, {version.status}"
            yield what, f"{said} ({version.why}){told}", version.recorded_at
            facts = {"result": test, "version": version.version}
            items += [Item("later report", each.control_id, each.octets_sha256, facts) for each in reports]


def _documents(
    database: sqlite3.Connection, known: Tallied, claimed: Claimed, items: list[Item]
) -> Iterator[tuple[str, str, str]]:
    for each in papers_of_unit(database, known.patient_id, claimed.record.unit.test_ids):
        if claimed.basis is None or each.id <= claimed.basis.last_document:
            continue
        act = "voids" if each.voids else "takes the place of"
        before = f", {act} document {each.supersedes}" if each.supersedes is not None else ""
        what = f"document {each.id}, {subject_of(each)}{before}"
        yield what, said_by(each), recorded(each)
        items += items_of(each)


def _history(database: sqlite3.Connection, claimed: Claimed) -> Iterator[tuple[str, str, str]]:
    for event in store.events(database, claimed.row.id):
        if event["what"] not in TOLD_ELSEWHERE:
            yield f"claim: {event['what']}", event["detail"], f"{event['by_name']}, {event['at']}"
    for posted in store.remittances(database, claimed.row.id):
        row = posted.row
        codes = " ".join(part for part in (f"{row.group_code}-{row.carc}".strip("-"), row.rarc, row.cause) if part)
        number = f", the payer's number {row.payer_control_number}" if row.payer_control_number else ""
        said = f"{row.posted_on} {row.status} ${amount(row.amount_cents)} {codes}".rstrip() + number
        yield "the payer", said, f"{posted.by_name}, {posted.at}, {row.source}"
