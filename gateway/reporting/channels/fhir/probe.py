"""Trying a FHIR server before it goes live: does it keep one resource when the same transaction comes twice?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.reporting.channels.base import Answer, Circumstances, Finding, MakeTrial, Outcome
from gateway.reporting.channels.fhir import names
from gateway.reporting.channels.fhir.address import check_address
from gateway.reporting.channels.fhir.credentials import CredentialError, credentials
from gateway.reporting.channels.fhir.sender import FhirSender, client_for
from gateway.reporting.channels.fhir.settings import FhirSettings
from gateway.reporting.reportable import ReportableResult

if TYPE_CHECKING:
    import httpx

__all__ = ["probe"]


async def probe(
    address: str, settings: FhirSettings, circumstances: Circumstances, make_trial: MakeTrial
) -> Sequence[Finding]:
    """Send a test result twice, then count what the server holds under its identifier."""
    trial = make_trial("Prüfung")
    sender = FhirSender(address, settings, circumstances)
    try:
        for time in ("first", "second"):
            unable = await sender.open()
            answer = unable or await sender.send(trial.octets, trial.report.control_id)
            if answer.outcome is not Outcome.DELIVERED:
                return [_not_delivered(time, answer)]
    finally:
        await sender.close()
    return [await _counted(address, settings, circumstances, trial.report)]


def _not_delivered(time: str, answer: Answer) -> Finding:
    name = "not-delivered" if time == "first" else "repetition-refused"
    return Finding(name, True, f"the {time} sending of a test result came to: {answer.outcome}; {answer.text}")


async def _counted(
    address: str, settings: FhirSettings, circumstances: Circumstances, report: ReportableResult
) -> Finding:
    """Ask the server how many observations it has of the trial."""
    system = names.system(settings, report.supplier)
    value = names.result_value(report.result_id, report.patient.provider_patient_id)
    async with client_for(settings, circumstances) as client:
        count = await _count(client, check_address(address), settings, circumstances, system, value)
    if count is None:
        return Finding(
            "cannot-be-searched",
            True,
            "the server took the same test result twice; whether it kept one or two cannot be seen, because it does"
            " not answer a search by identifier; ask its operator",
        )
    if count == 1:
        return Finding("keeps-one", False, "the same test result, sent twice, is there once")
    if count == 0:
        return Finding("keeps-none", True, "the server said that it stored the test result, but does not find it")
    return Finding(
        "ignores-if-none-exist",
        True,
        f"the same test result, sent twice, is there {count} times: every resend"
        " after a lost answer would make a further copy in the chart",
    )


async def _count(
    client: httpx.AsyncClient,
    base: str,
    settings: FhirSettings,
    circumstances: Circumstances,
    system: str,
    value: str,
) -> int | None:
    import httpx

    shown = credentials(settings, circumstances.secrets, circumstances.clock)
    try:
        await shown.obtain(client)
        search = {"identifier": f"{system}|{value}", "_summary": "count"}
        answer = await client.get(f"{base}/Observation", params=search, headers=dict(shown.headers()))
        total = json.loads(answer.content).get("total") if answer.status_code == 200 else None
    except (httpx.HTTPError, CredentialError, ValueError, AttributeError):
        return None
    return total if isinstance(total, int) else None
