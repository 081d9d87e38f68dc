"""Coag-Sense PT2 over Bluetooth LE: recognised, not read. What it sends there is not public.

The meter's Bluetooth service is known by its UUIDs alone, from a public project that calls its own reading of the
payload a guess. So this driver makes no result of it, and it is off. Use the meter's Wi-Fi or Ethernet instead:
driver ``poct1a``, profile ``coag_sense_pt2``. Its manual asks that only applications of the provider are used.

The profile (TOML)::

    driver = "coag_sense_pt2_ble"
    capture = false                 # true: connect, listen, and keep what comes, unread, for whoever studies it
    close_when_quiet_s = 60         # disconnect when nothing comes

With ``capture`` each notification is kept as an unreadable record: it waits in quarantine and counts for nothing.

Checklist (proven: a real meter was seen; unknown: to be tried with a meter):

=============================  =======  =================================================
service and characteristics    proven   UUIDs in public software that meets a real meter
what notifications carry       unknown  guessed there to be POCT1-A2 documents
what must be written first     unknown  nothing is written
pairing                        unknown
=============================  =======  =================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, StrictBool

from drivers.contract import (
    NO_MEMOS,
    Advertisement,
    ConfirmedBy,
    Decoded,
    Driver,
    Event,
    Finished,
    MeterIdentity,
    Piece,
    Rejected,
    Send,
    Session,
    Unreadable,
)
from drivers.errors import (
    DeviceError,
    DeviceReason,
    DriverError,
    FramingError,
    FramingReason,
    ProtocolError,
    ProtocolReason,
    TransportError,
    TransportReason,
)
from drivers.meters.profile import Profile
from drivers.protocols import gatt

__all__ = ["CoagSensePt2BleDriver"]

SERVICE: Final = "194f9cb0-364b-4a00-84a1-5e30b969ba23"
_NOTIFYING: Final = ("194f9cb1-364b-4a00-84a1-5e30b969ba23", "194f9cb2-364b-4a00-84a1-5e30b969ba23")
_ANSWER_S: Final = 30.0
_NOT_PUBLIC: Final = (
    "what a Coag-Sense PT2 sends over Bluetooth is not public, so nothing is read from it; connect the meter by "
    "Wi-Fi or Ethernet (driver poct1a, profile coag_sense_pt2), or set capture = true to keep what it sends, unread"
)


class _Profile(Profile):
    driver: Literal["coag_sense_pt2_ble"] = "coag_sense_pt2_ble"
    capture: StrictBool = False
    close_when_quiet_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0


class CoagSensePt2BleDriver(Driver):
    """The PT2's own Bluetooth service."""

    name: ClassVar[str] = "coag_sense_pt2_ble"
    summary: ClassVar[str] = "Coag-Sense PT2 over Bluetooth LE: recognised, not read; off (use poct1a over Wi-Fi)"
    evidence: ClassVar[str] = (
        "UUIDs in public software that meets a real meter; the payload is not public and is never read as a result"
    )
    confirmed_by: ClassVar[ConfirmedBy] = ConfirmedBy.NONE
    transports: ClassVar[frozenset[str]] = frozenset({"ble"})

    def __init__(self, profile: Mapping[str, object]) -> None:
        self._profile = _Profile.read(profile)

    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        """One that listens if the profile says so, and else says why it does not."""
        return _Listener(self._profile.close_when_quiet_s if self._profile.capture else None)

    def recognises(self, seen: Advertisement) -> bool:
        """Whether it advertises the PT2's service."""
        return SERVICE in seen.service_uuids

    def decode(self, pieces: Sequence[bytes]) -> Decoded:
        """Everything as one unreadable part: nobody knows what it says."""
        octets = b"".join(pieces)
        if not octets:
            raise ProtocolError("octet 0: nothing was captured", ProtocolReason.BAD_STRUCTURE, offset=0)
        error = ProtocolError(f"octet 0: {_NOT_PUBLIC}", ProtocolReason.UNSUPPORTED, offset=0)
        return Decoded(MeterIdentity("CoaguSense", None, "Coag-Sense PT2"), None, (Unreadable(octets, error),))


class _Listener(Session):
    """Listens to the service's notifications and understands none. Args: quiet_s: None does not listen at all."""

    def __init__(self, quiet_s: float | None) -> None:
        self._quiet_s = quiet_s
        self._parser = gatt.Parser()
        self._wishes = [gatt.Subscribe(uuid) for uuid in _NOTIFYING]
        self._asked: gatt.Subscribe | None = None
        self._is_linked = self._is_held = self._is_over = False
        self._deadline_s: float | None = None

    def opened(self, now_s: float) -> list[Event]:
        """The transport speaks first."""
        self._deadline_s = now_s + _ANSWER_S
        return []

    def receive(self, octets: bytes, now_s: float) -> list[Event]:
        """Frames, in any chunking."""
        if self._is_over:
            return []
        try:
            self._parser.feed(octets)
        except FramingError as error:
            return self._finish(error)
        return self._run(now_s)

    def confirm(self, now_s: float) -> list[Event]:
        """What was captured is on disk."""
        self._is_held = False
        return [] if self._is_over else self._run(now_s)

    def refuse(self, now_s: float) -> list[Event]:
        """It is not, and the meter knows nothing of it."""
        self._is_held = False
        why = "what was captured could not be stored here, and is lost"
        return [] if self._is_over else self._finish(DeviceError(why, DeviceReason.GAVE_UP))

    def tick(self, now_s: float) -> list[Event]:
        """Time passed."""
        if self.deadline_s is None or now_s < self.deadline_s:
            return []
        if self._is_linked and self._asked is None:
            return self._finish(None)
        return self._finish(TransportError("the meter answers no more; wake it", TransportReason.TIMED_OUT))

    @property
    def deadline_s(self) -> float | None:
        """When to give up listening."""
        return None if self._is_over or self._is_held else self._deadline_s

    def lost(self, now_s: float) -> list[Event]:
        """The connection is gone."""
        if self._is_over:
            return []
        self._is_over = True
        rest = self._parser.rest()
        error = FramingError("the connection ended inside a frame", FramingReason.TRUNCATED, offset=0)
        return [*([Rejected(rest, error)] if rest else []), Finished(error if rest else None, close=True)]

    def _run(self, now_s: float) -> list[Event]:
        events: list[Event] = []
        try:
            while not (self._is_over or self._is_held) and (frame := self._parser.next()) is not None:
                events += self._frame(frame, now_s)
        except FramingError as error:
            events += self._finish(error)
        return events

    def _frame(self, frame: gatt.Frame, now_s: float) -> list[Event]:
        if isinstance(frame, gatt.Link):
            self._is_linked = True
            if self._quiet_s is None:
                return self._finish(ProtocolError(_NOT_PUBLIC, ProtocolReason.UNSUPPORTED))
            return self._subscribe(now_s)
        if isinstance(frame, gatt.Notified):
            self._is_held = True
            self._rest(now_s)
            return [Piece(self._parser.octets, starts_message=True, ends_message=True)]
        return self._subscribe(now_s) if isinstance(frame, gatt.Subscribed | gatt.Failed) else []

    def _subscribe(self, now_s: float) -> list[Event]:
        self._asked = self._wishes.pop(0) if self._wishes else None
        self._rest(now_s)
        return [] if self._asked is None else [Send(gatt.encode(self._asked))]

    def _rest(self, now_s: float) -> None:
        seconds = _ANSWER_S if self._asked is not None else self._quiet_s
        self._deadline_s = now_s + (seconds or _ANSWER_S)

    def _finish(self, error: DriverError | None) -> list[Event]:
        self._is_over = True
        goodbye: list[Event] = [Send(gatt.encode(gatt.Disconnect()))] if self._is_linked else []
        return [*goodbye, Finished(error, close=True)]
