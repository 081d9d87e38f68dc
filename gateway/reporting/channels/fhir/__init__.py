"""FHIR R4 over REST: one transaction for each report.

Sources: FHIR R4 (4.0.1), 3.1.0 (RESTful API) and 2.24 (data types); US Core 8.0.1; Personal Health Device guide
2.0.0; SMART App Launch 2.x (Backend Services).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from gateway.reporting.channels.base import Channel, Circumstances, Finding, MakeTrial, Sender
from gateway.reporting.channels.fhir.address import check_address
from gateway.reporting.channels.fhir.settings import FhirSettings
from gateway.reporting.reportable import ReportableResult

__all__ = ["CHANNEL", "FhirSettings"]

for _package in ("httpx", "jwt", "orjson"):  # used later; better missed when a destination is set up
    if find_spec(_package) is None:
        raise ModuleNotFoundError(f"channel fhir needs {_package}", name=_package)


def _render(report: ReportableResult, settings: FhirSettings) -> bytes:
    """See `gateway.reporting.channels.fhir.bundle.render`."""
    from gateway.reporting.channels.fhir.bundle import render

    return render(report, settings)


def _sender(address: str, settings: FhirSettings, circumstances: Circumstances) -> Sender:
    """See `gateway.reporting.channels.fhir.sender.FhirSender`."""
    from gateway.reporting.channels.fhir.sender import FhirSender

    return FhirSender(address, settings, circumstances)


async def _probe(
    address: str, settings: FhirSettings, circumstances: Circumstances, make_trial: MakeTrial
) -> Sequence[Finding]:
    """See `gateway.reporting.channels.fhir.probe.probe`."""
    from gateway.reporting.channels.fhir.probe import probe

    return await probe(address, settings, circumstances, make_trial)


CHANNEL = Channel(
    name="fhir", settings=FhirSettings, check_address=check_address, render=_render, sender=_sender, probe=_probe
)
