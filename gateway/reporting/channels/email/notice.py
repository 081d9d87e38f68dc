"""The text of a notice: that there is something to see, and where. Nothing of the patient, nothing of the result.

The reference is the report's control id, a digest from which nothing can be read.
"""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from gateway.reporting.channels.email.settings import REFERENCE, EmailSettings
from gateway.reporting.reportable import ReportableResult, Status
from gateway.wire.reading import Origin

__all__ = ["render"]

NEWS = {
    Status.FINAL: "A new report is ready for you.",
    Status.CORRECTED: "A report that you have was corrected.",
    Status.RETRACTED: "A report that you have was withdrawn. Please do not use it.",
}


def render(report: ReportableResult, settings: EmailSettings) -> bytes:
    """The mail, ready to be sent. Its Message-ID is the control id, so that a repetition is the same mail."""
    domain = settings.sender.partition("@")[2]
    test = report.processing_id != "P" or report.origin in (Origin.SIMULATOR, Origin.REPLAY)
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address(display_name=_one_line(report.supplier.name), addr_spec=settings.sender)
    mail["To"] = ", ".join(settings.to)
    mail["Date"] = format_datetime(report.released_at)
    mail["Message-ID"] = f"<{report.control_id}@{domain}>"
    mail["Subject"] = f"{'TEST: ' if test else ''}Report {report.control_id}"
    mail["Auto-Submitted"] = "auto-generated"
    link = settings.portal.replace(REFERENCE, report.control_id)
    lines = [
        *(["This is a test. There is no patient behind it.", ""] if test else []),
        NEWS[report.status],
        "",
        f"Reference: {report.control_id}",
        f"To read it: {link}",
        "",
        "This notice names no patient and no result on purpose. Please do not answer it with either.",
        _one_line(report.supplier.name),
    ]
    mail.set_content("\n".join(lines) + "\n")
    return mail.as_bytes()


def _one_line(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
