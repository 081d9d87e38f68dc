"""From the store to a packet's contents."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from gateway.clock import moment
from gateway.reporting.claims.basis import options_of, options_sha256
from gateway.reporting.claims.beside import beside_physician
from gateway.reporting.claims.packet.claimed import Claimed, as_claimed, came_later
from gateway.reporting.claims.packet.contents import Contents, Item, Section, Table
from gateway.reporting.claims.packet.paper import items_of, papers_of_unit, recorded, said_by, subject_of
from gateway.reporting.claims.record import unit_record
from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.claims.x12 import amount
from gateway.reporting.documents.papers import papers_from
from gateway.reporting.units import Enrollment, Order, Policy, Statement, Unit, ZoneChange, explain
from gateway.reporting.units.reasons import FLAG_WORDS
from gateway.store import claims as claim_store
from gateway.store import documents, proof

__all__ = ["gather"]

BEHIND_EVERY_UNIT: Final = ("order", "training", "diagnosis", "warfarin", "coverage")
"""Kinds of which a reviewer expects one; without it the registry's enrollment speaks, and the packet says so."""
BESIDE: Final = ("supply_contact", "supply_delivery", "supply_waste", "contact")
BILLED: Final = "billed_service"
"""Lines of other codes (rules R32, R33): a section of their own."""
SHORT: Final = 16
"""Digits of a digest on paper; the manifest has them all."""


def gather(
    database: sqlite3.Connection, known: Tallied, number: int, unit: Unit, claimed: Claimed | None
) -> Contents:
    """Everything behind `unit`, which has this number in the statement of `known`.

    Of a claimed unit results, evidence and documents are those that were known when it was claimed; what came later
    stands apart.

    Args:
        database: the store.
        known: made with a trace.
        number: from 1.
        unit: of that statement.
        claimed: its claim.
    """
    items: list[Item] = []
    basis = claimed.basis if claimed else None
    versions = {} if basis is None else basis.versions
    papers = papers_of_unit(database, known.patient_id, unit.tests)
    if basis is not None:
        papers = [each for each in papers if basis.knew(each)]
    else:
        papers = [each for each in papers if each.holds]
    sections = [
        _unit_section(database, known, unit, claimed, items),
        *([] if claimed is None else [as_claimed(claimed)]),
        _patient_section(database, known),
        _results_section(database, known, unit, versions, items),
        _evidence_section(database, known, unit, versions, items),
        *_document_sections(papers, items),
        *_billed_section(known, papers, items),
    ]
    if claimed is None:
        sections.append(_policy_section(known.policy_of(unit), items))
    else:
        sections += [
            _policy_section(claimed.policy(known), items, claimed),
            _then_section(claimed, known, unit),
            came_later(database, known, claimed, items),
        ]
    sections.append(_trace_section(known, number, unit, "How it is decided now"))
    return Contents(
        title=f"Audit packet: {'-'.join([unit.code, *unit.modifiers])}, date of service {unit.billable_from}",
        subtitle=f"Patient {known.patient_id}. As known on {known.statement.as_of}. "
        f"Policy {known.policy_of(unit).id}.",
        sections=sections,
        items=items,
    )


def _unit_section(
    database: sqlite3.Connection, known: Tallied, unit: Unit, claimed: Claimed | None, items: list[Item]
) -> Section:
    rows = [
        ("Code and modifiers", " ".join([unit.code, *unit.modifiers])),
        ("Tests", f"{len(unit.tests)} of 4: {', '.join(unit.tests)}"),
        ("First and last test", f"{unit.first_test} to {unit.last_test}"),
        ("Date of service", str(unit.billable_from)),
        ("File by", str(unit.file_by)),
        ("Status", unit.status.replace("_", " ")),
        ("Review flags", "; ".join(f"{flag}: {FLAG_WORDS[flag]}" for flag in unit.review_flags) or "none"),
    ]
    if claimed is not None:
        holder, record = claimed.row, claimed.record
        items.append(Item("claim", holder.id, holder.content_sha256, {"state": holder.state}))
        rows += [
            ("Claim", f"{holder.id}, {holder.state}, frequency code {holder.frequency}"),
            ("Charge", f"${amount(record.charge_cents)}; a whole unit is ${amount(record.full_cents)}"),
            ("Narrative", record.nte or "none: a whole unit"),
            ("Exported", f"by {holder.exported_by} at {holder.exported_at}"),
        ]
        signatures = [claim_store.sign_off(database, holder.sign_off_id)] if holder.sign_off_id else []
    else:
        signatures = claim_store.sign_offs(database, known.patient_id, unit_record(known, unit).sha256)[:1]
    for signature in signatures:
        items.append(Item("signature", str(signature.id), signature.content_sha256, {"by": signature.by_name}))
        note = f" ({signature.note})" if signature.note else ""
        rows.append(("Signed", f"by {signature.by_name} at {signature.at}{note}"))
        rows.append(("Flags accepted", signature.flags or "none"))
    return Section("The unit", (), Table(("", ""), rows, (0.25, 0.75)))


def _patient_section(database: sqlite3.Connection, known: Tallied) -> Section:
    person = proof.person(database, known.patient_id)
    enrollment = known.inputs.enrollment
    rows = [("Patient id", known.patient_id)]
    if person is not None:
        rows.append(("Name", f"{person.family_name}, {person.given_name}"))
        rows.append(("Born, sex", f"{person.birth_date}, {person.sex}"))
    rows += [
        ("Payer", " ".join(part for part in (enrollment.payer, enrollment.mac) if part)),
        ("Diagnoses", ", ".join(enrollment.diagnosis) or "none on record"),
        ("Valve", enrollment.valve_type or "not stated"),
        ("Anticoagulant", enrollment.anticoagulant or "not stated"),
        ("On warfarin since", str(enrollment.warfarin_start or "not stated")),
        ("Training", f"{enrollment.training_date or 'none'}, {_documented(enrollment.training_documented)}"),
        ("Orders", "; ".join(_order(order) for order in enrollment.orders) or "none on record"),
        ("Zone of record", _zones(enrollment)),
    ]
    return Section(f"The patient, as known on {known.statement.as_of}", (), Table(("", ""), rows, (0.25, 0.75)))


def _zones(enrollment: Enrollment) -> str:
    """Every zone that the patient lived in, oldest first."""
    first, *moves = sorted(enrollment.tz_history) or [ZoneChange(dt.date.min, enrollment.tz)]
    return "; ".join([first.tz, *(f"{move.tz} from {move.start}" for move in moves)])


def _documented(documented: bool) -> str:
    return "documented" if documented else "NOT documented"


def _order(order: Order) -> str:
    until = f" to {order.expires_on}" if order.expires_on else ""
    interval = f", every {order.interval_days} days" if order.interval_days else ""
    return f"signed {order.signed_on}{until}{interval}"


def _results_section(
    database: sqlite3.Connection, known: Tallied, unit: Unit, versions: Mapping[str, int], items: list[Item]
) -> Section:
    rows = []
    tests = known.tests()
    for test_id in unit.tests:
        test = tests[test_id]
        found = _version(database, known, test_id, versions)
        taken_at = test.taken_at if found is None else moment(found.taken_at)
        local = known.local.instant(taken_at).astimezone(_zone(known, taken_at))
        body: dict[str, Any] = json.loads(found.body) if found else {}
        meter = body.get("meter") or {}
        rows.append(
            (
                test_id,
                f"{local:%Y-%m-%d %H:%M %Z}",
                (body.get("inr") or {}).get("text") or str(test.inr_text or test.inr or ""),
                " ".join(part for part in (meter.get("vendor"), meter.get("model")) if part),
                meter.get("serial") or "",
                body.get("record_number") or "",
                body.get("strip_lot") or "",
                f"{found.quality}, {found.origin}" if found else "no longer this patient's",
            )
        )
        if found is not None:
            facts = {"version": found.version, "status": found.status, "key": found.result_key}
            items.append(Item("result", test_id, _digest(found.body), facts))
            items += [
                Item(
                    "reading",
                    f"{reading.journal}/{reading.number}",
                    reading.sha256,
                    {"result": test_id, "hub": reading.hub, "received_at": reading.received_at},
                )
                for reading in proof.readings(database, found.result_id)
            ]
    columns = ("Test", "Taken (local)", "INR", "Meter", "Serial", "Record", "Strip lot", "Time, origin")
    widths = (0.06, 0.19, 0.06, 0.17, 0.14, 0.09, 0.11, 0.18)
    return Section("Results", (), Table(columns, rows, widths))


def _version(
    database: sqlite3.Connection, known: Tallied, test_id: str, versions: Mapping[str, int]
) -> proof.Version | None:
    """The version of a test's result that was claimed; of an unclaimed one the newest."""
    if not test_id.isdigit():
        return None
    return proof.version(database, int(test_id), known.patient_id, versions.get(test_id))


def _evidence_section(
    database: sqlite3.Connection, known: Tallied, unit: Unit, versions: Mapping[str, int], items: list[Item]
) -> Section:
    rows: list[tuple[str, ...]] = []
    for test_id in unit.tests:
        found = _version(database, known, test_id, versions)
        reports = proof.reports(database, found.result_id, found.version) if found else []
        if not reports:
            rows.append((test_id, "no report of the version that holds", "", "", "", ""))
        for report in reports:
            answers = proof.answers(database, report.id)
            facts = {"result": test_id, "destination": report.destination_id, "channel": report.channel}
            items.append(Item("report", report.control_id, report.octets_sha256, facts))
            to = f"{report.provider_name}{f' (NPI {report.provider_npi})' if report.provider_npi else ''}"
            for at, answer in enumerate(answers):
                named = {"report": report.control_id, "level": answer.level, "at": answer.at, "peer": answer.peer}
                named |= {"certificate": answer.certificate, "software": answer.software}
                items.append(Item("evidence", f"{report.control_id}/{at + 1}", answer.octets_sha256, named))
                agreed = ", the agreed way" if answer.agreed else ""
                said = f"{answer.level} {answer.at} by {answer.peer}{agreed}"
                digests = f"{report.octets_sha256[:SHORT]} {answer.octets_sha256[:SHORT]}"
                rows.append(
                    (
                        test_id,
                        f"{to}, {report.channel}",
                        report.control_id,
                        report.first_sent_at or "",
                        said,
                        digests,
                    )
                )
            if not answers:
                what = f"{report.state}: no answer"
                rows.append((test_id, to, report.control_id, report.first_sent_at or "", what, ""))
    columns = ("Test", "Reported to", "Control id", "First sent", "Answer", "Digests: sent, answer")
    lines = ("Digests are the first 16 digits of SHA-256; the manifest has them whole.",)
    return Section("Evidence of reporting", lines, Table(columns, rows, (0.06, 0.19, 0.17, 0.16, 0.25, 0.17)))


def _document_sections(found: Sequence[documents.Document], items: list[Item]) -> Iterator[Section]:
    supplies = [each for each in found if each.kind in BESIDE]
    general = [each for each in found if each.result_id is None and each.kind not in (*BESIDE, BILLED)]
    of_tests = [each for each in found if each.result_id is not None and each.kind != BILLED]
    missing = [kind for kind in BEHIND_EVERY_UNIT if not any(each.kind == kind for each in general)]
    lines = []
    if missing:
        lines.append(
            f"No document of kind {', '.join(missing)} is on file; what the registry's enrollment says was used."
        )
    yield _documents("Order, training, diagnosis, warfarin and coverage", lines, general, items)
    lines = [] if supplies else ["No supply contact, delivery or waste is on record."]
    yield _documents("Supplies and contacts", lines, supplies, items)
    lines = [] if of_tests else ["No such paper speaks of one of its tests."]
    yield _documents("Early reasons, extra orders, notices (ABN), reviews, attestations", lines, of_tests, items)


def _billed_section(known: Tallied, found: Sequence[documents.Document], items: list[Item]) -> Iterator[Section]:
    """Other codes billed for the patient, and what speaks against billing them beside the unit."""
    billed = [each for each in found if each.kind == BILLED]
    if billed:
        rows = [documents.Effective(each.id, each.kind, each.body, each.result_id) for each in found]
        told = beside_physician(papers_from(known.patient_id, rows), (known,), known.statement.as_of)
        yield _documents("Other codes billed beside the units", [each.line for each in told], billed, items)


def _documents(title: str, lines: Sequence[str], found: Sequence[documents.Document], items: list[Item]) -> Section:
    rows = []
    for each in found:
        paper = f", attached {each.attachment_name}" if each.attachment else ""
        rows.append((subject_of(each), said_by(each), f"{recorded(each)}{paper}", each.sha256[:SHORT]))
        items += items_of(each)
    table = Table(("Document", "Says", "Recorded by, at, from", "Digest"), rows, (0.16, 0.44, 0.25, 0.15))
    return Section(title, lines, table if rows else None)


def _policy_section(policy: Policy | None, items: list[Item], claimed: Claimed | None = None) -> Section:
    if policy is None:
        name = claimed.record.unit.policy if claimed else ""
        return Section("Policy and sources", (f"{name}: the file is not installed here any more.",))
    rows = [(rule.rule, rule.source, rule.weight, rule.jurisdiction, rule.note) for rule in policy.sources]
    options = options_of(policy)
    items.append(Item("policy", policy.id, options_sha256(policy), options))
    said = "; ".join(f"{name} {_option(value)}" for name, value in options.items())
    lines = [f"{policy.id}: {policy.title}.", f"Diagnoses: {policy.diagnoses.id}.", f"Options: {said}."]
    if claimed is not None and claimed.policy_sha256 not in ("", options_sha256(policy)):
        lines.append("Its options were others when the unit was claimed: the file has been changed since.")
    table = Table(("Rule", "Source", "Weight", "Where", "Note"), rows, (0.07, 0.35, 0.11, 0.09, 0.38))
    return Section("Policy and sources", lines, table if rows else None)


def _option(value: str | int | bool | None) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _zone(known: Tallied, moment: dt.datetime) -> ZoneInfo:
    """The patient's zone of record on the local day of an instant."""
    enrollment, day = known.inputs.enrollment, known.day_of(moment)
    begun = [change.tz for change in sorted(enrollment.tz_history) if change.start <= day]
    return ZoneInfo(begun[-1] if begun else enrollment.tz)


def _then_section(claimed: Claimed, known: Tallied, unit: Unit) -> Section:
    """How a claimed unit came about, as it was kept with the claim."""
    basis = claimed.basis
    if basis is None:
        return Section(
            "How it was decided before it was claimed",
            ("The claim is older than the keeping of this; everything here is as it is known now.",),
        )
    title = f"How it was decided before it was claimed, as of {basis.as_of}"
    return _lines_section(basis.traced(known.statement), claimed.policy(known), basis.unit, unit, title)


def _trace_section(known: Tallied, number: int, unit: Unit, title: str) -> Section:
    return _lines_section(known.statement, known.policy_of(unit), number, unit, title)


def _lines_section(statement: Statement, policy: Policy | None, number: int, unit: Unit, title: str) -> Section:
    rows = []
    for subject in [*unit.tests, f"unit {number}"]:
        rows += [(subject if at == 0 else "", line) for at, line in enumerate(explain(statement, subject, policy))]
    return Section(title, (), Table(("About", "Decision"), rows, (0.12, 0.88)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
