"""From the store to a packet's contents."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, Final
from zoneinfo import ZoneInfo

from gateway.reporting.claims.packet.contents import Contents, Item, Section, Table
from gateway.reporting.claims.record import ClaimRecord, unit_record
from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.claims.x12 import amount
from gateway.reporting.units import Order, Policy, Unit, explain
from gateway.reporting.units.reasons import FLAG_WORDS
from gateway.store import claims as claim_store
from gateway.store import documents, proof

__all__ = ["gather"]

BEHIND_EVERY_UNIT: Final = ("order", "training", "diagnosis", "warfarin", "coverage")
"""Kinds of which a reviewer expects one; without it the registry's enrollment speaks, and the packet says so."""
NO_OPTIONS: Final = frozenset({"id", "title", "effective_from", "effective_to"})
SHORT: Final = 16
"""Digits of a digest on paper; the manifest has them all."""


def gather(
    database: sqlite3.Connection, known: Tallied, number: int, unit: Unit, before: Tallied | None
) -> Contents:
    """Everything behind `unit`, which has this number in the statement of `known`.

    Args:
        database: the store.
        known: made with a trace.
        number: from 1.
        unit: of that statement.
        before: for a claimed unit, the same patient's tally on the day of the signature had there been no claim.
    """
    items: list[Item] = []
    sections = [
        _unit_section(known, unit, database, items),
        _patient_section(database, known),
        _results_section(database, known, unit, items),
        _evidence_section(database, known, unit, items),
        *_document_sections(database, known, unit, items),
        _policy_section(known, items),
        _trace_section(known, number, unit, "How it is decided now"),
    ]
    if before is not None:
        sections.append(_before_section(before, unit))
    return Contents(
        title=f"Audit packet: {'-'.join([unit.code, *unit.modifiers])}, date of service {unit.billable_from}",
        subtitle=f"Patient {known.patient_id}. As known on {known.statement.as_of}. Policy {known.policy.id}.",
        sections=sections,
        items=items,
    )


def _unit_section(known: Tallied, unit: Unit, database: sqlite3.Connection, items: list[Item]) -> Section:
    rows = [
        ("Code and modifiers", " ".join([unit.code, *unit.modifiers])),
        ("Tests", f"{len(unit.tests)} of 4: {', '.join(unit.tests)}"),
        ("First and last test", f"{unit.first_test} to {unit.last_test}"),
        ("Date of service", str(unit.billable_from)),
        ("File by", str(unit.file_by)),
        ("Status", unit.status.replace("_", " ")),
        ("Review flags", "; ".join(f"{flag}: {FLAG_WORDS[flag]}" for flag in unit.review_flags) or "none"),
    ]
    holder = claim_store.held_by(database, known.patient_id, unit.code, unit.tests)
    if holder is not None:
        record = ClaimRecord.read(holder.content)
        items.append(Item("claim", holder.id, holder.content_sha256, {"state": holder.state}))
        rows += [
            ("Claim", f"{holder.id}, {holder.state}, frequency code {holder.frequency}"),
            ("Charge", f"${amount(record.charge_cents)}; a whole unit is ${amount(record.full_cents)}"),
            ("Narrative", record.nte or "none: a whole unit"),
            ("Exported", f"by {holder.exported_by} at {holder.exported_at}"),
        ]
        sha256 = record.unit.sha256
    else:
        sha256 = unit_record(known, unit).sha256
    for signature in claim_store.sign_offs(database, known.patient_id, sha256)[:1]:
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
        ("Zone of record", enrollment.tz),
    ]
    return Section("The patient, as the tally saw it", (), Table(("", ""), rows, (0.25, 0.75)))


def _documented(documented: bool) -> str:
    return "documented" if documented else "NOT documented"


def _order(order: Order) -> str:
    until = f" to {order.expires_on}" if order.expires_on else ""
    interval = f", every {order.interval_days} days" if order.interval_days else ""
    return f"signed {order.signed_on}{until}{interval}"


def _results_section(database: sqlite3.Connection, known: Tallied, unit: Unit, items: list[Item]) -> Section:
    rows = []
    tests = known.tests()
    for test_id in unit.tests:
        test = tests[test_id]
        local = known.local.instant(test.taken_at).astimezone(_zone(known, test.taken_at))
        found = proof.version(database, int(test_id), known.patient_id) if test_id.isdigit() else None
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


def _evidence_section(database: sqlite3.Connection, known: Tallied, unit: Unit, items: list[Item]) -> Section:
    rows: list[tuple[str, ...]] = []
    for test_id in unit.tests:
        found = proof.version(database, int(test_id), known.patient_id) if test_id.isdigit() else None
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


def _document_sections(
    database: sqlite3.Connection, known: Tallied, unit: Unit, items: list[Item]
) -> Iterator[Section]:
    found = documents.listing(database, known.patient_id)
    numbers = {int(test) for test in unit.tests if test.isdigit()}
    general = [each for each in found if each.result_id is None and not each.kind.startswith("supply")]
    supplies = [each for each in found if each.kind.startswith("supply")]
    of_tests = [each for each in found if each.result_id in numbers]
    missing = [kind for kind in BEHIND_EVERY_UNIT if not any(each.kind == kind for each in general)]
    lines = []
    if missing:
        lines.append(
            f"No document of kind {', '.join(missing)} is on file; what the registry's enrollment says was used."
        )
    yield _documents("Order, training, diagnosis, warfarin and coverage", lines, general, items)
    lines = [] if supplies else ["No supply contact, delivery or waste is on record."]
    yield _documents("Supplies", lines, supplies, items)
    lines = [] if of_tests else ["No such paper speaks of one of its tests."]
    yield _documents("Early reasons, extra orders, notices (ABN), reviews, attestations", lines, of_tests, items)


def _documents(title: str, lines: Sequence[str], found: Sequence[documents.Document], items: list[Item]) -> Section:
    rows = []
    for each in found:
        body = json.loads(each.body)
        said = "; ".join(f"{name} {_said(value)}" for name, value in body.items() if name != "result")
        subject = f" (test {each.result_id})" if each.result_id is not None else ""
        paper = f", attached {each.attachment_name}" if each.attachment else ""
        recorded = f"{each.recorded_by}, {each.recorded_at}, {each.source}{paper}"
        rows.append((f"{each.kind}{subject}", said, recorded, each.sha256[:SHORT]))
        facts = {"kind": each.kind, "recorded_by": each.recorded_by, "recorded_at": each.recorded_at}
        items.append(Item("document", str(each.id), each.sha256, facts))
        if each.attachment:
            items.append(Item("attachment", each.attachment_name, each.attachment, {"document": each.id}))
    table = Table(("Document", "Says", "Recorded by, at, from", "Digest"), rows, (0.16, 0.45, 0.25, 0.14))
    return Section(title, lines, table if rows else None)


def _said(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _policy_section(known: Tallied, items: list[Item]) -> Section:
    policy = known.policy
    rows = [(rule.rule, rule.source, rule.weight, rule.jurisdiction, rule.note) for rule in policy.sources]
    options = _options(policy)
    items.append(Item("policy", policy.id, _digest(json.dumps(options, sort_keys=True)), options))
    said = "; ".join(f"{name} {value}" for name, value in options.items())
    lines = (f"{policy.id}: {policy.title}.", f"Diagnoses: {policy.diagnoses.id}.", f"Options: {said}.")
    table = Table(("Rule", "Source", "Weight", "Where", "Note"), rows, (0.07, 0.35, 0.11, 0.09, 0.38))
    return Section("Policy and sources", lines, table if rows else None)


def _options(policy: Policy) -> dict[str, str | int | bool | None]:
    """The options in force, by name."""
    found = {each.name: getattr(policy, each.name) for each in fields(policy) if each.name not in NO_OPTIONS}
    return {name: value for name, value in found.items() if value is None or isinstance(value, str | int)}


def _zone(known: Tallied, moment: dt.datetime) -> ZoneInfo:
    """The patient's zone of record on the local day of an instant."""
    enrollment, day = known.inputs.enrollment, known.day_of(moment)
    begun = [change.tz for change in sorted(enrollment.tz_history) if change.start <= day]
    return ZoneInfo(begun[-1] if begun else enrollment.tz)


def _before_section(before: Tallied, unit: Unit) -> Section:
    """How a claimed unit came about."""
    title = f"How it was decided before it was claimed, as of {before.statement.as_of}"
    for number, each in enumerate(before.statement.units, 1):
        if each.tests == unit.tests and each.billable_from == unit.billable_from:
            return _trace_section(before, number, each, title)
    return Section(title, ("What is known now no longer makes this unit: look at the claim again.",))


def _trace_section(known: Tallied, number: int, unit: Unit, title: str) -> Section:
    rows = []
    for subject in [*unit.tests, f"unit {number}"]:
        rows += [
            (subject if at == 0 else "", line)
            for at, line in enumerate(explain(known.statement, subject, known.policy))
        ]
    return Section(title, (), Table(("About", "Decision"), rows, (0.12, 0.88)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
