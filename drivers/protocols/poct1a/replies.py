"""What the host says to a meter: the documents of an observation reviewer, in forms that real meters accept.

Forms: ACK without reference and REQ ROBS as the public Coag-Sense PT2 tools send them; ACK with ``ack_control_id``
and END as hosts of Roche meters do; ACK with ``control_id`` as HemoScreen's driver; DTV SET_TIME by Nova's vendor
specification. START_CONTINUOUS and RDEV are from the standard.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final
from xml.sax.saxutils import quoteattr

from drivers.protocols.poct1a.times import stamp

__all__ = ["AckDialect", "AckType", "Replies"]

_FIRST_CONTROL_ID: Final = 10_000
_LAST_CONTROL_ID: Final = 99_999
"""Hosts of both families count with five digits."""


_PLAIN: Final = re.compile(r"[\w.:+-]*")


class AckDialect(StrEnum):
    """How an acknowledgement names the document it answers."""

    ACK_CONTROL_ID = "ack_control_id"
    """``ACK.ack_control_id``, as the standard has it; Roche and most others."""
    CONTROL_ID = "control_id"
    """``ACK.control_id``: HemoScreen, Sofia."""
    NONE = "none"
    """Not at all: what is proven for the Coag-Sense PT2. It answers the document last sent."""


class AckType(StrEnum):
    """``ACK.type_cd`` (HL7 table 0008)."""

    ACCEPTED = "AA"
    ERROR = "AE"
    """The host could not keep it now; the meter should offer it again."""
    REJECTED = "AR"
    """The host will not take this document."""


class Replies:
    """Writes documents with rising control ids.

    Args:
        dialect: how acknowledgements refer to documents.
        wall_clock: the present, with the zone in which times are written.
        declaration: begin each document with an XML declaration.
    """

    def __init__(
        self, dialect: AckDialect, wall_clock: Callable[[], datetime], *, declaration: bool = False
    ) -> None:
        self.dialect = dialect
        self._wall_clock = wall_clock
        self._declaration = declaration
        self._control_id = _FIRST_CONTROL_ID

    def acknowledge(self, kind: AckType, control_id: str | None) -> bytes:
        """ACK.R01 for a document with this control id, if it had one."""
        body = [_field("ACK.type_cd", kind.value)]
        if self.dialect is not AckDialect.NONE and control_id is not None:
            body.append(_field(f"ACK.{self.dialect.value}", control_id))
        return self._document("ACK.R01", _object("ACK", *body))

    def request(self, code: str) -> bytes:
        """REQ.R01: ``ROBS`` asks for all new observations, ``RDEV`` for device events."""
        return self._document("REQ.R01", _object("REQ", _field("REQ.request_cd", code)))

    def set_time(self, instant: datetime) -> bytes:
        """DTV.R02 SET_TIME: the meter's clock is to show this instant in the zone it carries."""
        return self._document(
            "DTV.R02",
            _object("DTV", _field("DTV.command_cd", "SET_TIME")),
            _object("TM", _field("TM.dttm", stamp(instant))),
        )

    def start_continuous(self) -> bytes:
        """DTV.R01 START_CONTINUOUS: the meter sends each result when it is made."""
        return self._document("DTV.R01", _object("DTV", _field("DTV.command_cd", "START_CONTINUOUS")))

    def end(self, reason: str = "NRM") -> bytes:
        """END.R01: the conversation is over; NRM says normally."""
        return self._document("END.R01", _object("TRM", _field("TRM.reason_cd", reason)))

    def _document(self, name: str, *objects: str) -> bytes:
        self._control_id = _FIRST_CONTROL_ID if self._control_id >= _LAST_CONTROL_ID else self._control_id + 1
        header = (
            f'<HDR>\n<HDR.control_id V="{self._control_id}"/>\n<HDR.version_id V="POCT1"/>\n'
            f'<HDR.creation_dttm V="{stamp(self._wall_clock())}"/>\n</HDR>\n'
        )
        declaration = '<?xml version="1.0" encoding="UTF-8"?>\n' if self._declaration else ""
        return f"{declaration}<{name}>\n{header}{''.join(objects)}</{name}>\n".encode()


def _object(name: str, *fields: str) -> str:
    return f"<{name}>\n{''.join(fields)}</{name}>\n"


def _field(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):
        return f'<{name} V="{value}"/>\n'
    # Meters' readers are simple: always double quotes.
    quoted = quoteattr(value, {'"': "&quot;"})
    return f"<{name} V={quoted}/>\n"
