"""Meters that send results as POCT1-A2 documents (CLSI POCT1-A2, device messaging layer).

The protocol says how documents look; which observation is the INR, and how a meter strays from the standard, is
told by a profile (TOML)::

    driver = "poct1a"
    description = "..."             # for persons
    zone = "America/New_York"       # in which the host writes times, and the meter's clock is to go

    [host]
    ack = "ack_control_id"          # or "control_id", or "none": how acknowledgements name documents
    declaration = false             # begin the host's documents with <?xml ...?>
    max_document_octets = 262144
    hello_timeout_s = 120           # wait for the first octet; 0 is for ever
    continuous = false              # ask for continuous mode, if the meter lists START_CONTINUOUS
    continuous_silence_s = 900      # how long a meter in continuous mode may be silent
    end_after_s = 0                 # leave it to the meter to close for so long, before END is sent
    set_time = false                # set the meter's clock, if it lists SET_TIME; needs zone
    set_time_beyond_s = 60          # leave smaller errors alone

    [serial]
    baudrate = 9600                 # and bytesize, parity, stopbits, for meters on a serial line

    [meter]
    vendor = "..."                  # when HEL names none
    packed_vendor = false           # DEV.vendor_id holds vendor, model and name with & between
    utc_offset = "believed"         # or "ignored": offsets from UTC in the meter's times

    [[observation]]                 # as many rows as there are codes; the first that matches counts
    means = "inr"                   # inr, pt_seconds or quick_percent
    code = "34714-6"                # OBS.observation_id V, and/or display = its DN
    units = ["", "INR"]             # left out: any
    vendor = "*"                    # of the meter, * for any characters; and model
    proven = true                   # otherwise each record notes that its code is unproven
    source = "..."

    [range]                         # measuring range of the INR
    low = "0.8"
    high = "8.0"

    [kind]
    control_roles = []              # SVC.role_cd that mark controls, besides LQC, PRF and any with QC
    accepted_status = ["A"]         # OBS.status_cd of results that count

What becomes of a service (SVC):

* with an INR: a record of the kind that SVC.role_cd says; OBS.R02 and a service with a control (CTC) never make a
  patient's result. Observations that the profile does not know are listed in the notes.
* with an INR or PT of 0, an INR without a value, or SVC.status_cd ERR: a record of kind ``error``.
* a control or calibration without INR: a record without INR.
* otherwise, for example another analyte alone or a result that was not accepted at the meter: `Unreadable`.

A value beyond the measuring range comes as ``>8.0``, or as ``8.0`` with interpretation ``>`` or status HI; both
become value 8.0 with comparator ``>``. HI, LO, PINF or NINF without a number become the profile's limit with a
comparator, or no number at all. Status HI beside a value inside the range changes nothing and stays a flag.

Checklist (proven: a real meter of this family was seen; specified: by the standard or a vendor's document; unknown:
to be tried with the meter):

======================================  ==================  ====================================================
what                                    Coag-Sense PT2      CoaguChek XS Plus / Pro
======================================  ==================  ====================================================
dials in over TCP, bare documents       proven              proven (through its host)
several services in one OBS.R01         proven              unknown
INR 34714-6, PT 5902-2                  proven              not used
INR, %Q, SEC as up to three OBS         not used            proven; their codes and units unknown
ACK without reference, REQ ROBS         proven              unknown
ACK with ack_control_id, END NRM        unknown             proven
host's XML declaration                  not needed          proven
meter closes after EOT                  proven              unknown
acknowledged results not sent again     proven              unknown
AE or AR keeps a result unsent          unknown (AR said)   unknown
lots RGT, notes NTE, patient id         proven              proven
control by role_cd with QC, and CTC     unknown             proven
empty sequence number                   unknown             proven
sequence numbers repeat                 proven              unknown
vendor, model, name packed with &       unknown             proven
zone in times                           unknown             proven (+00:00; whether it is true: unknown)
zero INR or PT instead of an error      proven              unknown
status HI, LO, ERR                      specified           unknown
NULL NI, status OVR                     specified (Nova)    specified (Nova)
``>8.0``, interpretation ``>``          specified           specified
SET_TIME, START_CONTINUOUS              unknown             unknown
serial number in DEV.serial_id          proven              specified
======================================  ==================  ====================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar

from drivers.contract import (
    NO_MEMOS,
    ConfirmedBy,
    Decoded,
    Driver,
    MeterClock,
    MeterIdentity,
    MeterRecord,
    Session,
    Unreadable,
)
from drivers.errors import ProtocolError, ProtocolReason
from drivers.meters.poct1a_profile import Observation, Poct1aProfile
from drivers.meters.poct1a_service import read_service, read_time
from drivers.protocols.poct1a.documents import Message, parse
from drivers.protocols.poct1a.framing import Document, Framing
from drivers.protocols.poct1a.session import Poct1aSession

__all__ = ["Poct1aDriver"]


def _now() -> datetime:
    return datetime.now(UTC)


class Poct1aDriver(Driver):
    """Any meter that speaks POCT1-A2, by its profile.

    Args:
        profile: see the module.
        wall_clock: the hub's present, written into the host's documents; a rig gives its own.
    """

    name: ClassVar[str] = "poct1a"
    summary: ClassVar[str] = "POCT1-A2 documents over TCP or a serial line, described by a profile"
    evidence: ClassVar[str] = (
        "public host software that reads real Coag-Sense PT2 and CoaguChek XS Plus meters, and documents of "
        "vendors' specifications (Nova, HemoScreen); no whole capture of an INR meter is public"
    )
    confirmed_by: ClassVar[ConfirmedBy] = ConfirmedBy.CALLER
    transports: ClassVar[frozenset[str]] = frozenset({"serial", "tcp"})

    def __init__(self, profile: Mapping[str, object], *, wall_clock: Callable[[], datetime] = _now) -> None:
        self._profile = Poct1aProfile.read(profile)
        self._wall_clock = wall_clock
        self.zone = self._profile.zone

    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        """A host that waits for the meter's HEL. Every message is one piece, so none is ever left open."""
        return Poct1aSession(self._profile.session, self._wall_clock, unfinished[-1] if unfinished else None)

    def serial_parameters(self) -> Mapping[str, object]:
        """``[serial]`` of the profile, with the usual 9600 8-N-1 for what it leaves out."""
        return self._profile.serial.model_dump()

    def decode(self, pieces: Sequence[bytes]) -> Decoded:
        """Decode an observation message that follows its conversation's HEL and DST."""
        if not pieces:
            raise ProtocolError("octet 0: no document", ProtocolReason.BAD_STRUCTURE, offset=0)
        told = [(index, piece.strip()) for index, piece in enumerate(pieces)]
        last, octets = told.pop()
        try:
            message = parse(octets)
        except ProtocolError:
            *more, octets = _documents(octets)
            if not more:
                raise
            told += [(last, document) for document in more]
            message = parse(octets)
        if message.name not in ("OBS.R01", "OBS.R02"):
            why = f"octet 0: {message.name[:40]} is no observation message"
            raise ProtocolError(why, ProtocolReason.UNSUPPORTED, offset=0)
        context = _context(tuple(told))
        meter = self._identity(context.hello)
        return Decoded(meter, self._clock(context), self._items(message, octets, meter, context.octets))

    def _items(
        self, message: Message, octets: bytes, meter: MeterIdentity, before: bytes
    ) -> tuple[MeterRecord | Unreadable, ...]:
        services = [part for part in message.root.parts if part.name == "SVC"]
        if not services:
            why = f"octet 0: {message.name} without a service (SVC)"
            raise ProtocolError(why, ProtocolReason.BAD_STRUCTURE, offset=0)
        rows = self._rows(meter)
        first, last = services[0].start, services[-1].end
        items: list[MeterRecord | Unreadable] = []
        for service in services:
            # One service alone, with all that surrounds the services, is again a document.
            own = before + octets[:first] + octets[service.start : service.end] + octets[last:]
            try:
                items.append(read_service(message.name, service, rows, self._profile, own))
            except ProtocolError as error:
                items.append(Unreadable(own, error))
        return tuple(items)

    def _rows(self, meter: MeterIdentity) -> list[Observation]:
        return [row for row in self._profile.observation if row.is_for(meter.vendor, meter.model)]

    def _identity(self, hello: Message | None) -> MeterIdentity:
        named = self._profile.meter
        if hello is None:
            return MeterIdentity(named.vendor, None)
        root = hello.root
        vendor = root.deep("DEV", "DEV.vendor_id") or root.deep("DEV", "DEV.manufacturer_name")
        model = root.deep("DEV", "DEV.model_id")
        if named.packed_vendor and vendor is not None and "&" in vendor:
            vendor, packed_model, *_ = (part.strip() or None for part in vendor.split("&"))
            model = model or packed_model
        serial, firmware = root.deep("DEV", "DEV.serial_id"), root.deep("DEV", "DEV.sw_version")
        return MeterIdentity(vendor or named.vendor, serial, model, firmware)

    def _clock(self, context: _Context) -> MeterClock | None:
        if context.status is None:
            return None
        root = context.status.root
        raw = root.deep("DST", "DST.status_dttm") or root.deep("HDR", "HDR.creation_dttm")
        return None if raw is None else MeterClock(read_time(raw, self._profile), context.status_piece)


@dataclass(frozen=True, slots=True)
class _Context:
    """The meter's last HEL, and the last DST after it, with their octets together."""

    hello: Message | None
    status: Message | None
    status_piece: int
    octets: bytes


@lru_cache(maxsize=4)
def _context(told: tuple[tuple[int, bytes], ...]) -> _Context:
    """Read once for all messages of a conversation. Args: told: documents, each with the index of its piece."""
    hello: tuple[Message, bytes] | None = None
    status: tuple[Message, bytes, int] | None = None
    for piece, octets in told:
        message = parse(octets)
        if message.name == "HEL.R01":
            hello, status = (message, octets), None
        elif message.name == "DST.R01":
            status = (message, octets, piece)
    return _Context(
        hello=hello[0] if hello else None,
        status=status[0] if status else None,
        status_piece=status[2] if status else 0,
        octets=(hello[1] if hello else b"") + (status[1] if status else b""),
    )


def _documents(octets: bytes) -> list[bytes]:
    """A record's own octets are HEL, DST and OBS after each other; what is not only documents is left as it is."""
    framing = Framing(max(len(octets), 1))
    framing.feed(octets)
    found: list[bytes] = []
    while isinstance(item := framing.take(), Document):
        found.append(item.octets)
    return [octets] if item is not None or framing.finish() or not found else found
