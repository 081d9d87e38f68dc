"""From a reportable result to its sheet: every word that a physician reads is chosen here. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from gateway.reporting.channels.document import parts
from gateway.reporting.channels.document.contents import Banner, Fact, Headline, Mark, Sheet
from gateway.reporting.channels.document.settings import DocumentSettings
from gateway.reporting.channels.document.times import day, instant, local, span, zone
from gateway.reporting.notes import TIME_WORDS
from gateway.reporting.reportable import Past, Provider, ReportableResult, Status
from gateway.result import Quantity
from gateway.wire.reading import Origin

__all__ = ["of_result"]

ORIGINS: Final = {
    Origin.METER: "read from the meter's memory",
    Origin.PERSON: "entered by hand",
    Origin.SIMULATOR: "simulated: no test was done",
    Origin.REPLAY: "replayed from a recording: no new test was done",
}


def of_result(report: ReportableResult, settings: DocumentSettings) -> Sheet:
    """The sheet about one result, with the patient's past beside it."""
    withdrawn = report.status is Status.RETRACTED
    inr, this = report.result.inr, report.result_id
    past = [each for each in report.history if each.result_id != this]
    if inr is not None and not withdrawn:
        past = sorted([*past, Past(report.taken_at, inr, this)], key=lambda each: each.taken_at)
    made = f"Report {report.control_id}, version {report.version}, made {instant(report.released_at)}."
    rows, marks = parts.rows(past, report.limits, settings.rows, this)
    since = report.taken_at - timedelta(days=settings.picture_days)
    return Sheet(
        title="Home INR result",
        supplier=parts.sender(report.supplier),
        banners=_banners(report),
        patient=f"{report.patient.family_name}, {report.patient.given_name}",
        patient_facts=(
            ("Born", day(report.patient.birth_date)),
            ("Sex", parts.sex(report.patient.sex)),
            ("Your patient id", report.patient.provider_patient_id),
        ),
        recipient=("Report to", _recipient(report.provider)),
        headline=_headline(report, inr, withdrawn),
        facts=_facts(report),
        trend=parts.trend(past, report.limits, since=since, this=this),
        tiles=parts.tiles(report.summary),
        table_title=f"Last {len(rows)} results" if len(rows) > 1 else "Results",
        columns=parts.COLUMNS,
        rows=rows,
        marks=marks,
        foot=f"{made} {parts.NO_ADVICE}",
    )


def _banners(report: ReportableResult) -> list[Banner]:
    banners = []
    if report.processing_id != "P" or report.origin in (Origin.SIMULATOR, Origin.REPLAY):
        banners.append(parts.TEST)
    if report.status is Status.RETRACTED:
        text = "Do not use the earlier report of this result. It was withdrawn by the supplier."
        banners.append(Banner("WITHDRAWN", text))
    elif report.status is Status.CORRECTED:
        text = f"This is version {report.version} of the result. It replaces what was reported before."
        banners.append(Banner("CORRECTED", text))
    return banners


def _headline(report: ReportableResult, inr: Quantity | None, withdrawn: bool) -> Headline | None:
    if inr is None:
        return None
    verdict, mark = ("", Mark.NONE) if withdrawn else parts.verdict(report.interpretation)
    note = ""
    if inr.comparator is not None:
        side = "above" if inr.comparator == ">" else "below"
        note = f"The meter shows {inr.text}: the INR lies {side} its measuring range."
    return Headline("INR (no unit)", parts.value(inr), verdict.upper(), mark, note, struck=withdrawn)


def _facts(report: ReportableResult) -> list[Fact]:
    result, meter = report.result, report.result.meter
    facts = [
        ("Taken", f"{local(report.taken_at)} {zone(report.taken_at)}"),
        ("Time", f"{TIME_WORDS[report.quality]}; known within {span(report.uncertainty_s)}"),
        *parts.limit_facts(report.limits),
        ("Prothrombin time", "" if result.pt_seconds is None else f"{parts.value(result.pt_seconds)} s"),
        ("Quick", "" if result.quick_percent is None else f"{parts.value(result.quick_percent)} %"),
        ("Meter", " ".join(part for part in (meter.vendor, meter.model) if part)),
        ("Serial number", meter.serial or ""),
        ("Strip lot", result.strip_lot or ""),
        ("Meter's flags", ", ".join(result.flags)),
        ("Source", ORIGINS[report.origin] + (f": {report.note}" if report.note else "")),
        ("Order", report.order_id or ""),
    ]
    return [fact for fact in facts if fact[1]]


def _recipient(provider: Provider) -> list[str]:
    return [provider.name, *([f"NPI {provider.npi}"] if provider.npi else [])]
