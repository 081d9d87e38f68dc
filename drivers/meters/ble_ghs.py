"""INR meters that follow the Generic Health Sensor profile over Bluetooth LE.

The meter says itself what it measures, so the profile (TOML) may be empty; what it can say::

    driver = "ble_ghs"
    zone = "Europe/Berlin"          # of the meter's clock; needed only to set it

    [bluetooth]
    security = "encrypted"          # or "authenticated": paired by passkey or comparison; or "none"
    specializations = [0x1012]      # what the advertisement must announce, where it announces anything

    [conversation]                  # seconds; see drivers.protocols.ghs.procedure.Settings
    any_meter = false               # true also takes sensors that do not measure INR
    read_stored = true              # read the memory, from the last record read on
    live = true                     # take results as they are made
    close_when_quiet_s = 30         # disconnect when nothing comes; 0 leaves that to the meter

    [meter]
    vendor = "..."                  # when the meter does not say who made it

    [limits]                        # measuring range; without it a value beyond is reported as text alone
    above = "8.0"
    below = "0.8"
    source = "..."                  # required with limits

    [clock]
    set = "never"                   # or "when_asked", "always"; done after the memory was read
    source = "ntp"                  # how the hub's clock is kept
    old_timeline = "unknown"        # or "believed": stamps from before the meter's clock was changed

Observations of one compound or bundle with one time stamp are one test; what becomes of it: see
`drivers.meters.coagulation`. A control is told by its type, or by the code for controls among the supplemental
codes. Results that were typed in at the meter have the flag "manual". A value that is a setting is no result.

Nothing is lost although the radio confirms by itself: what was lost between radio and journal is read from the
memory at the next contact, and a damaged observation is read again at once. The live copy and the stored copy of a
test say the same, so they are one result. Stored records are deleted only on a person's order
(`GhsSession.delete_stored`), and only what was read and committed.

Checklist (specified: by assigned numbers or nomenclature; implemented: three public implementations agree; unknown:
to be tried with a meter):

==========================================  ===========  ===================================================
services, characteristics, advertisement    specified    assigned numbers
numeric, discrete, string, compound         implemented  octets of an ST example
sample array, states, events, TLV, bundle   implemented  octets of an ST example; the TLV's length is unclear
length of an observation                    implemented  two conventions; both are understood
INR, PT, Quick, control, lot, tester codes  specified    nomenclature; no octets of an INR meter are public
device status as a 16-bit discrete          unknown      bit 0 most significant, as IEEE 11073-10418 counts
record access, segments                     implemented  flow and codes; no INR meter
record numbers after the memory is cleared  unknown      the last record is compared; all is read if it differs
counter between observations                unknown      jumps there are ignored
meaning of +INFINITY as "above range"       specified    limits must come from the profile
time stamps with all flags                  implemented  ticks and old timelines give no readable time
setting the clock                           implemented  off unless configured
live start and stop                         implemented  also taken from meters that need no start
deleting records                            implemented  only on a person's order
any INR meter                               unknown      none that follows this profile is known
==========================================  ===========  ===================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from drivers.contract import (
    NO_MEMOS,
    Advertisement,
    ConfirmedBy,
    Decoded,
    Driver,
    MeterClock,
    MeterIdentity,
    MeterRecord,
    RecordKind,
    Unreadable,
)
from drivers.errors import ProtocolError
from drivers.meters.ble_ghs_findings import Part, findings_of, notes_of, parts_of, strip_lot_of
from drivers.meters.ble_ghs_profile import GhsProfile
from drivers.meters.coagulation import read_test
from drivers.protocols.ghs import names
from drivers.protocols.ghs.features import ServiceData
from drivers.protocols.ghs.message import Surroundings, read_message
from drivers.protocols.ghs.observation import read_observation
from drivers.protocols.ghs.session import GhsSession

__all__ = ["BleGhsDriver"]


class BleGhsDriver(Driver):
    """Any INR meter of the profile."""

    name: ClassVar[str] = "ble_ghs"
    summary: ClassVar[str] = "Generic Health Sensor over Bluetooth LE, for INR meters"
    evidence: ClassVar[str] = (
        "assigned numbers, nomenclature and three public implementations that agree; no INR meter was tested, and "
        "none that follows this profile is known"
    )
    confirmed_by: ClassVar[ConfirmedBy] = ConfirmedBy.STACK
    transports: ClassVar[frozenset[str]] = frozenset({"ble"})

    def __init__(self, profile: Mapping[str, object]) -> None:
        self._profile = GhsProfile.read(profile)
        self.zone = self._profile.zone
        self.security = self._profile.bluetooth.security
        # The one clock in here: a meter's clock can only be set to the present. Off unless the profile asks for it.
        self._settings = self._profile.settings(datetime.now)

    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> GhsSession:
        """A client that reads on from the last record that is known to be on disk. A message is one piece."""
        return GhsSession(self._settings, memos)

    def recognises(self, seen: Advertisement) -> bool:
        """Whether it advertises the service and, if it says for what, INR."""
        announced = seen.service_data.get(names.SERVICE)
        if announced is None:
            return names.SERVICE in seen.service_uuids
        if self._profile.conversation.any_meter:
            return True
        try:
            specializations = ServiceData.of(announced).specializations
        except ProtocolError:
            specializations = ()  # what it measures it says again once connected
        return not specializations or bool(set(specializations) & set(self._profile.bluetooth.specializations))

    def decode(self, pieces: Sequence[bytes]) -> Decoded:
        """Decode an observation, preceded by what the conversation told of the meter."""
        message = read_message(pieces)
        surroundings = message.surroundings
        items: list[MeterRecord | Unreadable] = []
        is_old = False
        for received in message.observations:
            try:
                observation = read_observation(received.body)
            except ProtocolError as error:
                items.append(Unreadable(surroundings.octets + received.octets, error))
                continue
            for part in parts_of(observation, received):
                is_old = is_old or (part.stamp is not None and not part.stamp.is_current)
                item = self._item(surroundings, part, received.number)
                if item is not None:
                    items.append(item)
        # The meter's clock of today says nothing about stamps from before it was changed.
        clock = None if is_old else _clock(surroundings)
        return Decoded(self._identity(surroundings), clock, tuple(items))

    def _item(self, surroundings: Surroundings, part: Part, number: int | None) -> MeterRecord | Unreadable | None:
        octets = surroundings.octets + part.octets
        old_is_believed = self._profile.clock.old_timeline == "believed"
        time = None if part.stamp is None else part.stamp.device_time(old_is_believed=old_is_believed)
        needs_set = surroundings.clock is not None and surroundings.clock.needs_set
        bare = MeterRecord(
            kind=RecordKind.ERROR,
            octets=octets,
            device_time=time,
            record_number=None if number is None else str(number),
            strip_lot=strip_lot_of(part),
            patient_id=part.patient_id,
            notes=(*notes_of(part), *(("the meter says that its clock needs to be set",) if needs_set else ())),
        )
        try:
            return read_test(findings_of(part), self._profile.limits, bare)
        except ProtocolError as error:
            return Unreadable(octets, error)

    def _identity(self, surroundings: Surroundings) -> MeterIdentity:
        told = surroundings.information
        address = None if surroundings.link is None else surroundings.link.address
        return MeterIdentity(
            told.get(names.MANUFACTURER) or self._profile.meter.vendor,
            told.get(names.SERIAL) or told.get(names.SYSTEM_ID) or address or None,
            told.get(names.MODEL) or None,
            told.get(names.FIRMWARE) or None,
        )


def _clock(surroundings: Surroundings) -> MeterClock | None:
    if surroundings.clock is None:
        return None
    return MeterClock(surroundings.clock.stamp.device_time(old_is_believed=True), surroundings.clock_piece)
