"""What the host says in a conversation by the basic profile of POCT1-A2, as a table-driven state machine.

The meter speaks first and everything it says is answered. Steps are those of the basic profile (device messaging
layer of the standard):

====  ==================  ==================================  ====================================================
step  phase               meter says                          host answers
====  ==================  ==================================  ====================================================
1     HELLO               HEL.R01                             ACK AA; STATUS
2     STATUS              DST.R01                             ACK AA; the first of the host's wishes
3     any                 OBS.R01, OBS.R02                    ACK AA once committed, AE if that failed
3     any                 anything unreadable                 the same: it is kept, and does not stall the meter
4     OBSERVATIONS        EOT.R01, ESC.R01, ACK AE or AR      (ACK AA;) next wish
4     EVENTS              EOT.R01, ESC.R01, ACK AE or AR      (ACK AA;) next wish
4     SETTING_TIME        ACK.R01, ESC.R01                    next wish
4     STARTING            ACK.R01 AA                          CONTINUOUS
4     STARTING            ACK AE or AR, ESC.R01               next wish
5     ENDING              ACK.R01                             over
any   any                 END.R01                             ACK AA; over
any   any                 EVS.R01, KPA.R01, lists, vendor's   ACK AA, nothing else
====  ==================  ==================================  ====================================================

The host's wishes, in order: REQ ROBS unless the meter says that it has no new observations; REQ RDEV if it has
events; DTV SET_TIME if the meter can, its clock is wrong, and the settings allow it; DTV START_CONTINUOUS if the
meter can and the settings ask for it; END.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Final
from zoneinfo import ZoneInfo

from drivers.contract import DeviceTime
from drivers.errors import DeviceError, DeviceReason
from drivers.protocols.poct1a.documents import Message
from drivers.protocols.poct1a.framing import MAX_DOCUMENT_OCTETS
from drivers.protocols.poct1a.replies import AckDialect, AckType, Replies
from drivers.protocols.poct1a.times import device_time

__all__ = ["Conversation", "Phase", "SessionSettings"]

_DEFAULT_APPLICATION_TIMEOUT_S: Final = 120.0
_MARGIN_S: Final = 5.0
_END_WAIT_S: Final = 5.0
_MOST_CONTEXTS: Final = 64
"""A conversation with more HEL and DST is ended, so that they do not pile up; the meter begins a new one."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How a meter family keeps to the profile.

    Attributes:
        ack: how acknowledgements name documents.
        declaration: begin the host's documents with an XML declaration.
        max_document_octets: longest document.
        hello_timeout_s: how long to wait for the first octet; 0 is for ever.
        continuous: ask for continuous mode if the meter lists it.
        continuous_silence_s: how long a meter in continuous mode may be silent.
        end_after_s: how long it is left to the meter to close, before END is sent.
        set_time: correct the meter's clock if the meter lists it; needs `zone`.
        set_time_beyond_s: smaller errors of the meter's clock are left alone.
        zone: in which the host writes times, and the meter's clock is to go; None takes the meter's own offset.
    """

    ack: AckDialect = AckDialect.ACK_CONTROL_ID
    declaration: bool = False
    max_document_octets: int = MAX_DOCUMENT_OCTETS
    hello_timeout_s: float = 120.0
    continuous: bool = False
    continuous_silence_s: float = 900.0
    end_after_s: float = 0.0
    set_time: bool = False
    set_time_beyond_s: float = 60.0
    zone: ZoneInfo | None = None


class Phase(Enum):
    """Where the conversation stands; the value says what is awaited."""

    HELLO = "its HEL was awaited"
    STATUS = "its DST was awaited"
    OBSERVATIONS = "its results were awaited"
    EVENTS = "its events were awaited"
    SETTING_TIME = "its answer to SET_TIME was awaited"
    STARTING = "its answer to START_CONTINUOUS was awaited"
    CONTINUOUS = "it was in continuous mode"
    LINGERING = "all was read"
    ENDING = "its answer to END was awaited"
    OVER = "the conversation was over"


_BUSY: Final = frozenset({Phase.OBSERVATIONS, Phase.EVENTS, Phase.SETTING_TIME, Phase.STARTING})


class Conversation:
    """Says what follows when the meter has spoken. Every method that returns octets returns whole documents.

    Args:
        wall_clock: the hub's present, with any zone; it is written into the documents.
    """

    def __init__(self, settings: SessionSettings, wall_clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._wall_clock = wall_clock
        self._replies = Replies(settings.ack, self._present, declaration=settings.declaration)
        self.phase = Phase.HELLO
        self.refused: DeviceError | None = None
        """The meter refused to send its results."""
        self.timeout_s = _DEFAULT_APPLICATION_TIMEOUT_S
        """How long the meter waits for an answer (DCP.application_timeout)."""
        self._zone: timezone | ZoneInfo = settings.zone or UTC
        self._directives: frozenset[str] = frozenset()
        self._topics: frozenset[str] = frozenset()
        self._wishes: list[Phase] = []
        self._meter_time: DeviceTime | None = None
        self._contexts = 0
        self._table: Mapping[str, Callable[[Message], list[bytes]]] = {
            "HEL.R01": self._hello,
            "DST.R01": self._status,
            "EOT.R01": self._end_of_topic,
            "ESC.R01": self._escape,
            "ACK.R01": self._answer,
            "END.R01": self._terminate,
        }

    @property
    def patience_s(self) -> float:
        """How long the meter may be silent now."""
        special = {
            Phase.CONTINUOUS: self._settings.continuous_silence_s,
            Phase.LINGERING: self._settings.end_after_s,
            Phase.ENDING: _END_WAIT_S,
        }
        return special.get(self.phase, self.timeout_s + _MARGIN_S)

    def hear(self, message: Message) -> list[bytes]:
        """The meter said this, and what of it must be kept is on disk."""
        return self._table.get(message.name, self._acknowledge)(message)

    def refuse(self, message: Message) -> list[bytes]:
        """What the meter said could not be kept now; the conversation is over (step 3)."""
        self.phase = Phase.OVER
        return [self._replies.acknowledge(AckType.ERROR, message.control_id)]

    def reject(self, control_id: str | None) -> list[bytes]:
        """What the meter said cannot be taken at all; the conversation goes on."""
        return [self._replies.acknowledge(AckType.REJECTED, control_id)]

    def end(self) -> list[bytes]:
        """Step 5."""
        self.phase = Phase.ENDING
        return [self._replies.end()]

    # ------------------------------------------------------------------ rows of the table

    def _acknowledge(self, message: Message) -> list[bytes]:
        return [self._replies.acknowledge(AckType.ACCEPTED, message.control_id)]

    def _hello(self, message: Message) -> list[bytes]:
        """Step 1."""
        root = message.root
        self.timeout_s = _seconds(root.deep("DCP", "DCP.application_timeout")) or _DEFAULT_APPLICATION_TIMEOUT_S
        abilities = [field for part in root.every("DSC") for field in part.fields]
        self._directives = frozenset(
            field.said or "" for field in abilities if field.name == "DSC.directives_supported_cd"
        )
        self._topics = frozenset(field.said or "" for field in abilities if field.name == "DSC.topics_supported_cd")
        created = device_time(root.deep("HDR", "HDR.creation_dttm") or "")
        if self._settings.zone is None and created.utc_offset_min is not None:
            self._zone = timezone(timedelta(minutes=created.utc_offset_min))
        self._meter_time = created
        self.phase = Phase.STATUS
        return self._acknowledge(message) + self._too_many()

    def _status(self, message: Message) -> list[bytes]:
        """Step 2. In continuous mode the meter sends new results by itself after it."""
        root = message.root
        told = root.deep("DST", "DST.status_dttm")
        if told is not None:
            self._meter_time = device_time(told)
        too_many = self._too_many()
        if too_many or self.phase not in (Phase.HELLO, Phase.STATUS):
            return self._acknowledge(message) + too_many
        observations = _count(root.deep("DST", "DST.new_observations_qty"))
        happenings = _count(root.deep("DST", "DST.new_events_qty"))
        wished = {
            Phase.OBSERVATIONS: observations is None or observations > 0,
            Phase.EVENTS: bool(happenings) and "D_EV" in self._topics,
            Phase.SETTING_TIME: self._settings.set_time and "SET_TIME" in self._directives,
            Phase.STARTING: self._settings.continuous and "START_CONTINUOUS" in self._directives,
        }
        self._wishes = [phase for phase, is_wished in wished.items() if is_wished]
        return self._acknowledge(message) + self._next()

    def _end_of_topic(self, message: Message) -> list[bytes]:
        """Step 4."""
        more = self._next() if self.phase in (Phase.OBSERVATIONS, Phase.EVENTS) else []
        return self._acknowledge(message) + more

    def _escape(self, message: Message) -> list[bytes]:
        return self._acknowledge(message) + self._will_not(message.root.deep("ESC", "ESC.detail_cd"))

    def _answer(self, message: Message) -> list[bytes]:
        kind = message.root.deep("ACK", "ACK.type_cd")
        if self.phase is Phase.ENDING:
            self.phase = Phase.OVER
        elif kind in (AckType.ERROR, AckType.REJECTED):
            return self._will_not(kind)
        elif self.phase is Phase.SETTING_TIME:
            return self._next()
        elif self.phase is Phase.STARTING:
            self.phase = Phase.CONTINUOUS
        return []

    def _terminate(self, message: Message) -> list[bytes]:
        self.phase = Phase.OVER
        return self._acknowledge(message)

    def _too_many(self) -> list[bytes]:
        self._contexts += 1
        if self._contexts <= _MOST_CONTEXTS:
            return []
        self.phase = Phase.OVER
        return [self._replies.end()]

    # ------------------------------------------------------------------ the host's wishes

    def _will_not(self, detail: str | None) -> list[bytes]:
        """The meter will not do what it was asked."""
        if self.phase not in _BUSY:
            return []
        if self.phase is Phase.OBSERVATIONS:
            why = f"the meter refused to send its results (detail {(detail or 'none')[:40]}); look at its display"
            self.refused = DeviceError(why, DeviceReason.REFUSED)
        return self._next()

    def _next(self) -> list[bytes]:
        self.phase = self._wishes.pop(0) if self._wishes else Phase.ENDING
        match self.phase:
            case Phase.OBSERVATIONS:
                return [self._replies.request("ROBS")]
            case Phase.EVENTS:
                return [self._replies.request("RDEV")]
            case Phase.SETTING_TIME if self._clock_is_wrong():
                return [self._replies.set_time(self._present())]
            case Phase.SETTING_TIME:
                return self._next()
            case Phase.STARTING:
                return [self._replies.start_continuous()]
        if self._settings.end_after_s > 0:
            self.phase = Phase.LINGERING
            return []
        return self.end()

    def _clock_is_wrong(self) -> bool:
        shown = None if self._meter_time is None else self._meter_time.local
        if shown is None:
            return True
        error = shown - self._present().replace(tzinfo=None)
        return abs(error.total_seconds()) > self._settings.set_time_beyond_s

    def _present(self) -> datetime:
        return self._wall_clock().astimezone(self._zone)


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None


def _seconds(text: str | None) -> float | None:
    """A plausible timeout, or None."""
    if text is None or len(text) > 8 or not text.isascii() or not text.replace(".", "", 1).isdecimal():
        return None
    seconds = float(text)
    return seconds if 1 <= seconds <= 3600 else None
