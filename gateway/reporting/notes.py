"""What every report says in words beside its numbers, the same on every channel."""

from __future__ import annotations

from gateway.clock import Quality
from gateway.reporting.reportable import ReportableResult, Status
from gateway.wire.reading import Origin

__all__ = ["TIME_WORDS", "notes"]

TIME_WORDS = {
    Quality.SYNCHRONISED: "meter clock checked",
    Quality.OFFSET_CORRECTED: "corrected for the error of the meter clock",
    Quality.ASSUMED_ZONE: "meter clock not checked",
    Quality.IMPLAUSIBLE: "meter clock wrong",
    Quality.UNSET: "meter clock not set",
    Quality.STATED: "stated by a person",
}


def notes(report: ReportableResult) -> list[str]:
    """How the test was done, what this version is to an earlier one, the strip lot, and how sure the time is."""
    found = ["Patient self-test at home"]
    if report.origin is Origin.PERSON:
        found[0] += ", entered by hand"
    if report.processing_id == "T":
        found.insert(0, "Test message: not for a patient's chart")
    if report.status is Status.CORRECTED:
        found.append("Corrects an earlier report of this result")
    elif report.status is Status.RETRACTED:
        found.append("Withdrawn: do not use the earlier report of this result")
    if report.note:
        found.append(report.note)
    if report.result.strip_lot:
        found.append(f"Strip lot {report.result.strip_lot}")
    uncertainty = report.uncertainty_s
    within = f"{uncertainty / 60:.0f} min" if uncertainty >= 60 else f"{uncertainty:.0f} s"
    found.append(f"Time of test: {TIME_WORDS[report.quality]}, known within {within}")
    return found
