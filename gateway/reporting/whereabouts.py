"""Where each result is on its way to the providers, and in one sentence why it is not there yet. Pure."""

from __future__ import annotations

from typing import Any, Final

from gateway.store.opening import Role
from gateway.store.report_list import Listed, Unqueued

__all__ = ["RESTORED", "of_report", "of_unqueued"]

RESTORED: Final = "the store was restored and nobody has reconciled it yet ('inr-gateway server reconcile')"


def of_report(report: Listed, *, held: bool, now: str) -> dict[str, Any]:
    """One report.

    Args:
        report: as the store has it.
        held: nothing leaves before the store is reconciled.
        now: the instant, as the store writes instants.
    """
    waits = report.state == "waiting"
    return {
        "report": report.report_id,
        "patient": report.patient_id,
        "result": report.result_key,
        "result_number": report.result_id,
        "taken_at": report.taken_at,
        "version": report.version,
        "status": report.status,
        "destination": report.destination_id,
        "channel": report.channel,
        "address": report.address,
        "rank": report.rank,
        "control_id": report.control_id,
        "created_at": report.created_at,
        "state": report.state,
        "evidence": report.level,
        "evidence_at": report.evidence_at,
        "peer": report.peer,
        "certificate": report.certificate,
        "message_sha256": report.message_sha256,
        "software": report.software,
        "attempts": report.attempts,
        "next_attempt_at": report.next_attempt_at if waits else "",
        "batch_at": report.not_before if waits else None,
        "falls_back_at": report.fall_back_at,
        "fell_back_at": report.fell_back_at,
        "why": "; ".join(part for part in (_why(report, held, now), _fall_back(report)) if part),
    }


def _why(report: Listed, held: bool, now: str) -> str:
    if report.state == "delivered":
        return ""
    if report.state == "refused":
        return f"waits for a person: {report.last_error} ('deliveries resend {report.report_id} --by NAME')"
    if report.state == "accepted":
        if report.receipt_at is not None:
            return f"kept by the far end; its receipt is looked for again at {report.receipt_at}"
        return report.last_error or "kept by the far end; this channel says no more"
    if held:
        return RESTORED
    if not report.live:
        return f"{report.destination_id} is not live ('providers probe', 'providers go-live')"
    if report.waits_for_version is not None:
        return f"version {report.waits_for_version} has not been answered yet"
    if report.not_before is not None and report.not_before > now:
        return f"batch until {report.not_before}"
    if report.breaker != "closed":
        until = f", tried again at {report.trial_at}" if report.trial_at else ""
        return f"breaker of {report.destination_id} {report.breaker}: {report.breaker_why}{until}"
    if report.last_error:
        again = f"not before {report.next_attempt_at}" if report.next_attempt_at > now else "at growing intervals"
        return f"{report.last_error}; tried again {again}"
    if report.destination_error:
        return f"behind earlier reports to {report.destination_id}: {report.destination_error}"
    return "about to be sent"


def _fall_back(report: Listed) -> str:
    if report.state == "delivered" or not report.next_rank:
        return ""
    if report.fell_back_at is not None:
        return f"fell back to {report.next_rank} at {report.fell_back_at}"
    if report.fall_back_at is not None:
        return f"falls back to {report.next_rank} at {report.fall_back_at}"
    return ""


def of_unqueued(result: Unqueued, *, held: bool, role: Role) -> dict[str, Any]:
    """A result of which no report was made; the same fields, most of them None."""
    if held:
        why = RESTORED
    elif result.held:
        why = "waits for a person, or was dismissed by one ('inr-gateway quarantine list')"
    elif role == "production" and result.origin in ("simulator", "replay"):
        why = f"of origin {result.origin}: never reported"
    elif not result.treated:
        why = "no provider treats the patient at the time of the test"
    elif not result.reachable:
        why = "the treating provider has no destination"
    elif not result.live:
        why = "no destination of the treating provider is live ('providers probe', 'providers go-live')"
    else:
        why = "about to be made"
    known = {"patient": result.patient_id, "result": result.result_key, "taken_at": result.taken_at}
    rest = dict.fromkeys(("report", "destination", "evidence", "peer", "attempts"))
    return {**rest, **known, "version": result.version, "state": "none", "why": why}
