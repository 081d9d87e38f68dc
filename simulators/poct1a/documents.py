"""Writes the documents of a POCT1-A2 device (message tables of the standard's device messaging layer)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from simulators.meter import Clock, Identity, Kind, Stored
from simulators.poct1a.dialect import Code, Dialect

__all__ = ["Writer", "batches"]

_QUOTE: Final = {'"': "&quot;"}


@lru_cache(maxsize=1024)
def _written(text: str) -> str:
    """As it stands between quotes; meters say the same words again and again."""
    return escape(text, _QUOTE)


def batches(tests: Sequence[Stored], dialect: Dialect) -> list[tuple[Stored, ...]]:
    """Which tests go together in one OBS document: neighbours of one message type, oldest first."""
    found: list[list[Stored]] = []
    for test in tests:
        last = found[-1] if found else None
        fits = last is not None and len(last) < dialect.services_per_message
        if last is not None and fits and _message(last[0], dialect) == _message(test, dialect):
            last.append(test)
        else:
            found.append([test])
    return [tuple(batch) for batch in found]


def _message(test: Stored, dialect: Dialect) -> str:
    is_control = test.entry.kind is Kind.CONTROL and dialect.controls == "R02"
    return "OBS.R02" if is_control else "OBS.R01"


class Writer:
    """One meter's documents, with control ids that rise through its life.

    Every method returns the control id of its document and the octets.
    """

    def __init__(self, identity: Identity, clock: Clock, dialect: Dialect) -> None:
        self._identity = identity
        self._dialect = dialect
        self._zone = ZoneInfo(clock.zone)
        self._last = 0

    def hello(self, shown: datetime | None) -> tuple[str, bytes]:
        """HEL.R01: who the meter is and what it can."""
        who, dialect = self._identity, self._dialect
        vendor = "&".join((who.vendor, who.model, who.model)) if dialect.packed_vendor else who.vendor
        device = [
            self._field("DEV.device_id", who.serial),
            self._field("DEV.vendor_id", vendor),
            *([] if dialect.packed_vendor else [self._field("DEV.model_id", who.model)]),
            self._field("DEV.serial_id", who.serial),
            self._field("DEV.sw_version", who.firmware),
            self._object("DCP", self._field("DCP.application_timeout", f"{dialect.application_timeout_s:g}")),
            self._object(
                "DSC",
                self._field("DSC.connection_profile_cd", "SA"),
                self._field("DSC.topics_supported_cd", "D_EV"),
                *(self._field("DSC.directives_supported_cd", name) for name in dialect.directives),
                self._field("DSC.max_message_sz", "32768"),
            ),
        ]
        return self._document("HEL.R01", shown, self._object("DEV", *device))

    def status(self, shown: datetime | None, new: int) -> tuple[str, bytes]:
        """DST.R01: ready, with so many new observations."""
        return self._document(
            "DST.R01",
            shown,
            self._object(
                "DST",
                self._field("DST.status_dttm", self._time(shown)),
                self._field("DST.new_observations_qty", str(new)),
                self._field("DST.new_events_qty", "0"),
                self._field("DST.condition_cd", "R"),
            ),
        )

    def services(self, tests: Sequence[Stored]) -> str:
        """A service for each test."""
        return "".join(map(self._service, tests))

    def observations(
        self, shown: datetime | None, tests: Sequence[Stored], services: str | None = None
    ) -> tuple[str, bytes]:
        """OBS.R01 or OBS.R02 with some tests, whose services may be written already."""
        return self._document(_message(tests[0], self._dialect), shown, services or self.services(tests))

    def end_of_topic(self, shown: datetime | None, topic: str) -> tuple[str, bytes]:
        """EOT.R01."""
        return self._document("EOT.R01", shown, self._object("EOT", self._field("EOT.topic_cd", topic)))

    def keep_alive(self, shown: datetime | None) -> tuple[str, bytes]:
        """KPA.R01, which is a header and nothing else."""
        return self._document("KPA.R01", shown)

    def event(self, shown: datetime | None) -> tuple[str, bytes]:
        """EVS.R01: a device event, here that the meter was switched on."""
        event = (self._field("EVT.description", "switched on"), self._field("EVT.event_dttm", self._time(shown)))
        return self._document("EVS.R01", shown, self._object("EVT", *event))

    def acknowledge(self, shown: datetime | None, control_id: str) -> tuple[str, bytes]:
        """ACK.R01 AA for a document of the host."""
        name = "ACK.control_id" if self._dialect.reference == "control_id" else "ACK.ack_control_id"
        fields = (self._field("ACK.type_cd", "AA"), self._field(name, control_id))
        return self._document("ACK.R01", shown, self._object("ACK", *fields))

    def escape(self, shown: datetime | None, control_id: str, detail: str) -> tuple[str, bytes]:
        """ESC.R01: the meter cannot do what this document asks."""
        fields = (self._field("ESC.esc_control_id", control_id), self._field("ESC.detail_cd", detail))
        return self._document("ESC.R01", shown, self._object("ESC", *fields))

    def _service(self, test: Stored) -> str:
        entry, dialect = test.entry, self._dialect
        is_control = entry.kind is Kind.CONTROL
        failed = entry.kind is Kind.ERROR
        beyond = (entry.inr or "")[:1] if (entry.inr or "")[:1] in ("<", ">") else ""
        status = "ERR" if failed and dialect.errors == "status" else "NRM"
        if beyond and dialect.beyond == "status":
            status = "HI" if beyond == ">" else "LO"
        time = self._time(test.shown, test) if entry.device_time is None else entry.device_time
        observations = [self._observation(dialect.inr, entry.inr, failed=failed, beyond=beyond)]
        for code, value in ((dialect.pt_seconds, entry.pt_seconds), (dialect.quick_percent, entry.quick_percent)):
            if code is not None and (value is not None or (failed and code is dialect.pt_seconds)):
                observations.append(self._observation(code, value, failed=failed))
        if is_control:
            subject = self._object(
                "CTC",
                self._field("CTC.name", self._identity.vendor),
                self._field("CTC.lot_number", entry.control_lot or ""),
                self._field("CTC.level_cd", entry.control_level or "", SN="LEVEL"),
                *observations,
            )
        else:
            subject = self._object("PT", self._field("PT.patient_id", entry.patient_id), *observations)
        return self._object(
            "SVC",
            self._field("SVC.role_cd", "LQC" if is_control else "OBS"),
            self._field("SVC.observation_dttm", time),
            self._field("SVC.status_cd", status),
            self._field("SVC.reason_cd", "NEW"),
            self._field("SVC.sequence_nbr", test.number if dialect.sequence == "number" else ""),
            subject,
            *(
                [self._object("OPR", self._field("OPR.operator_id", entry.operator_id))]
                if entry.operator_id
                else []
            ),
            *([self._object("RGT", self._field("RGT.lot_number", entry.strip_lot))] if entry.strip_lot else []),
            *([self._object("NTE", self._field("NTE.text", entry.error_code))] if entry.error_code else []),
        )

    def _observation(self, code: Code, value: str | None, *, failed: bool, beyond: str = "") -> str:
        names = {key: text for key, text in (("DN", code.display), ("SN", code.system)) if text}
        unit = {"U": code.unit} if code.unit else {}
        interpretation = "N"
        if failed and self._dialect.errors == "zero":
            said = self._field("OBS.value", "0.0", **unit)
        elif failed or value is None or (beyond and self._dialect.beyond == "status"):
            said = self._field("OBS.value", None, NULL="NI")
        elif beyond and self._dialect.beyond == "interpretation":
            said, interpretation = self._field("OBS.value", value[1:], **unit), beyond
        else:
            said = self._field("OBS.value", value, **unit)
        return self._object(
            "OBS",
            self._field("OBS.observation_id", code.code, **names),
            said,
            self._field("OBS.method_cd", "M"),
            self._field("OBS.status_cd", "A"),
            self._field("OBS.interpretation_cd", interpretation),
        )

    def _time(self, shown: datetime | None, test: Stored | None = None) -> str:
        """A time as the clock shows it; empty for a clock that shows nothing."""
        if shown is None:
            return ""
        text, offset = shown.isoformat(timespec="seconds"), self._dialect.utc_offset
        if offset == "none":
            return text
        if offset != "true":
            return text + offset
        local = shown.replace(tzinfo=self._zone) if test is None else test.entry.at.astimezone(self._zone)
        return text + local.isoformat()[-6:]

    def _document(self, name: str, shown: datetime | None, *objects: str) -> tuple[str, bytes]:
        self._last += 1
        control_id = str(10_000 + self._last)
        header = self._object(
            "HDR",
            self._field("HDR.message_type", name),
            self._field("HDR.control_id", control_id),
            self._field("HDR.version_id", "POCT1"),
            self._field("HDR.creation_dttm", self._time(shown)),
        )
        end = self._dialect.line_end
        declaration = f'<?xml version="1.0" encoding="UTF-8"?>{end}' if self._dialect.declaration else ""
        octets = f"{declaration}{self._object(name, header, *objects)}".encode()
        return control_id, b"\x0b" + octets + b"\x1c\r" if self._dialect.wrapped else octets

    def _object(self, name: str, *parts: str) -> str:
        end = self._dialect.line_end
        return f"<{name}>{end}{''.join(parts)}</{name}>{end}"

    def _field(self, name: str, value: str | None, **attributes: str) -> str:
        equals = "= " if self._dialect.blank_after_equals else "="
        given = {} if value is None else {"V": value}
        written = "".join(f' {key}{equals}"{_written(text)}"' for key, text in (given | attributes).items())
        return f"<{name}{written}/>{self._dialect.line_end}"
