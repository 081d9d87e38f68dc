"""Trying a destination with made-up results before a patient's go there: what does the far end really do?"""

from __future__ import annotations

import secrets
import time
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gateway.clock import Clock, Quality
from gateway.reporting.channels import channel, settings
from gateway.reporting.channels.base import (
    Answer,
    Channel,
    ChannelSettings,
    Circumstances,
    Finding,
    MakeTrial,
    Outcome,
    Sender,
    Trial,
)
from gateway.reporting.configuration import Supplier
from gateway.reporting.reportable import Patient, Provider, ReportableResult, Status, control_id
from gateway.result import RESULT_SCHEMA, Kind, Meter, Quantity, Result
from gateway.store.destinations import Destination
from gateway.wire.reading import Origin

__all__ = ["probe"]

PLAIN, ACCENTED = "Probe", "Prüfung-Œuvré"
PATIENT_ID = "INR-PROBE"


async def probe(destination: Destination, circumstances: Circumstances) -> list[Finding]:
    """Send made-up results, marked as tests, and say what came of it.

    Nothing about a patient leaves; each trial is a new result, so that a probe can be repeated.

    Raises:
        ValueError: the destination's channel, address, settings or secrets cannot be used.
    """
    way = channel(destination.channel)
    wishes = settings(destination.channel, destination.settings)
    way.check_address(destination.address)
    make_trial = _trials(destination, way, wishes, circumstances)
    if way.probe is not None:
        return list(await way.probe(destination.address, wishes, circumstances, make_trial))
    return await _same_twice(way.sender(destination.address, wishes, circumstances), circumstances, make_trial)


def _trials(
    destination: Destination, way: Channel[Any], wishes: ChannelSettings, circumstances: Circumstances
) -> MakeTrial:
    def make(family_name: str) -> Trial:
        report = _made_up(destination, circumstances.delivery.supplier, circumstances.clock, family_name)
        return Trial(report, way.render(report, wishes))

    return make


def _made_up(destination: Destination, supplier: Supplier, clock: Clock, family_name: str) -> ReportableResult:
    now = clock.now()
    chance = secrets.token_hex(16)
    return ReportableResult(
        result=Result(
            schema=RESULT_SCHEMA,
            kind=Kind.PATIENT,
            meter=Meter(vendor="Home INR gateway", serial="PROBE", model="made up"),
            device_time=None,
            inr=Quantity(text="2.5", value="2.5"),
        ),
        result_id=chance,
        version=1,
        status=Status.FINAL,
        origin=Origin.SIMULATOR,
        patient=Patient(PATIENT_ID, family_name, "Test", date(1950, 1, 1), "U"),
        provider=Provider(
            destination.provider_id,
            destination.provider_name,
            destination.provider_npi,
            destination.application,
            destination.facility,
        ),
        supplier=supplier,
        taken_at=(now - timedelta(minutes=5)).astimezone(ZoneInfo(destination.provider_zone or "UTC")),
        uncertainty_s=1.0,
        quality=Quality.SYNCHRONISED,
        released_at=now,
        control_id=control_id("probe", destination.id, chance),
        processing_id="T",
    )


async def _same_twice(sender: Sender, circumstances: Circumstances, make_trial: MakeTrial) -> list[Finding]:
    """What can be seen through a sender alone: the same octets twice, then a name outside ASCII."""
    try:
        trial = make_trial(PLAIN)
        begun = time.monotonic()
        answer = await _send(sender, trial)
        took_s = time.monotonic() - begun
        if answer.outcome not in (Outcome.DELIVERED, Outcome.ACCEPTED):
            return [_not_delivered(answer)]
        found = [Finding("delivered" if answer.outcome is Outcome.DELIVERED else "accepted", False, _said(answer))]
        if answer.outcome is Outcome.ACCEPTED and getattr(sender, "receipt", None) is None:
            text = (
                "the far end keeps it, and nothing ever says that the provider has it: reports stay 'accepted', "
                "and count for nothing unless the provider has agreed to that"
            )
            found.append(Finding("never-confirms", True, text))
        if took_s > circumstances.delivery.answer_timeout_s / 2:
            found.append(Finding("slow", False, f"the answer took {took_s:.1f} s"))
        answer = await _send(sender, trial)
        if answer.outcome not in (Outcome.DELIVERED, Outcome.ACCEPTED):
            text = f"the same octets again came to: {answer.outcome}; {answer.text}"
            found.append(Finding("repetition-refused", True, text))
        else:
            found.append(Finding("takes-a-repetition", False, f"the same octets again: {_said(answer)}"))
        answer = await _send(sender, make_trial(ACCENTED))
        if answer.outcome not in (Outcome.DELIVERED, Outcome.ACCEPTED):
            text = f"a name outside ASCII came to: {answer.outcome}; {answer.text}"
            found.append(Finding("no-utf-8", False, text))
    finally:
        await sender.close()
    return found


async def _send(sender: Sender, trial: Trial) -> Answer:
    unable = None if sender.ready else await sender.open()
    return unable or await sender.send(trial.octets, trial.report.control_id)


def _not_delivered(answer: Answer) -> Finding:
    if answer.outcome is Outcome.NOT_SENT:
        return Finding("unreachable", True, answer.text)
    return Finding(
        "not-delivered", True, f"the first sending of a test result came to: {answer.outcome}; {answer.text}"
    )


def _said(answer: Answer) -> str:
    return "; ".join(part for part in (f"{answer.outcome} by {answer.peer}", answer.text) if part)
