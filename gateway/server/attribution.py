"""When a test was done and whose it is.

The two hang together: a device time has no zone, the zone of record belongs to the patient, and the patient follows
from the time. So each patient who ever had the meter is asked in turn: read in *your* zone, does the test, with its
uncertainty, touch one of your assignments? The hub's own zone serves only to tell which entry of a patient's zone
history is meant. Exactly one assignment may be touched, and the whole interval must lie inside it; everything else
is a person's decision.

Pure functions over what `gateway.store.people` read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.clock import MeterOffset, Quality, Resolved, resolve
from gateway.result import Result
from gateway.server.refusals import Reason, Refusal
from gateway.server.zones import zone_at, zone_named
from gateway.store.people import Assignment, ZoneFrom
from gateway.wire.reading import Reading

__all__ = ["Attributed", "attribute", "owner_at", "resolve_reading", "touched_by"]

ZonesOf = Callable[[str], Sequence[ZoneFrom]]


@dataclass(frozen=True, slots=True)
class Attributed:
    """Whose test it is, and when it was done. `instant` in UTC, true within plus or minus `uncertainty_s`."""

    patient_id: str
    instant: datetime
    uncertainty_s: float
    quality: Quality
    zone: str


def attribute(
    reading: Reading, result: Result, received: datetime, assignments: Sequence[Assignment], zones_of: ZonesOf
) -> Attributed | Refusal:
    """Attribute one reading of a registered meter.

    Args:
        reading: as it came.
        result: its result.
        received: when the server took it in; bounds the time of the test where the hub's clock proves nothing.
        assignments: all assignments of the meter.
        zones_of: gives a patient's zone history.
    """
    matching = [each for each in assignments if each.meter_patient_id in ("", result.patient_id)]
    if not matching:
        return Refusal(Reason.UNASSIGNED_METER, "nobody has ever been assigned this meter, or this id within it")
    touched: list[tuple[Assignment, Attributed]] = []
    known = False
    for patient in dict.fromkeys(each.patient_id for each in matching):
        taken = _in_zone_of(patient, reading, result, received, zones_of(patient))
        if taken is None:
            continue
        known = True
        touched += [(each, taken) for each in matching if each.patient_id == patient and _touches(each, taken)]
    if not known:
        return Refusal(Reason.TIME_UNKNOWN, "the meter's time is missing, was never set, or cannot be right")
    return _only(touched)


def owner_at(
    patient_id: str | None,
    instant: datetime,
    uncertainty_s: float,
    quality: Quality,
    assignments: Sequence[Assignment],
    zones_of: ZonesOf,
) -> Attributed | Refusal:
    """Attribute a test whose instant is known already. `patient_id`: the id within the meter, if any."""
    touched = []
    for each in assignments:
        if each.meter_patient_id in ("", patient_id):
            zone = zone_at(zones_of(each.patient_id), instant) or "UTC"
            taken = Attributed(each.patient_id, instant, uncertainty_s, quality, zone)
            if _touches(each, taken):
                touched.append((each, taken))
    return _only(touched)


def touched_by(
    reading: Reading, result: Result, received: datetime, assignments: Sequence[Assignment], zones_of: ZonesOf
) -> list[Attributed]:
    """One entry for each patient whose assignments a test may lie in: those among whom a person may choose."""
    found = []
    for patient in dict.fromkeys(each.patient_id for each in assignments):
        taken = _in_zone_of(patient, reading, result, received, zones_of(patient))
        if taken and any(
            _touches(each, taken)
            for each in assignments
            if each.patient_id == patient and each.meter_patient_id in ("", result.patient_id)
        ):
            found.append(taken)
    return found


def resolve_reading(reading: Reading, result: Result, received: datetime, zone: ZoneInfo) -> Resolved:
    """The instant of a reading's test, its device time read in `zone`."""
    time = result.device_time
    clock = reading.meter_clock
    offset = None
    if clock is not None and clock.device_time.local is not None:
        offset = MeterOffset(
            clock.device_time.local,
            clock.device_time.utc_offset_min,
            clock.hub_time,
            reading.hub_clock.synchronised,
        )
    latest = reading.read_at if reading.hub_clock.synchronised else received
    try:
        return resolve(
            None if time is None else time.local,
            None if time is None else time.utc_offset_min,
            offset,
            zone,
            latest,
        )
    except OverflowError:  # a date at the very end of the calendar, shifted beyond it
        return Resolved(None, 0.0, Quality.IMPLAUSIBLE)


def _in_zone_of(
    patient: str, reading: Reading, result: Result, received: datetime, history: Sequence[ZoneFrom]
) -> Attributed | None:
    """The test's instant if it was done in the patient's zone of record; None when the time is not known."""
    if not history:
        return None
    first = _in_zone(
        history[-1].zone if zone_named(reading.zone) is None else reading.zone, reading, result, received
    )
    if first.instant is None:
        return None
    name = zone_at(history, first.instant) or history[0].zone
    taken = first if name == reading.zone else _in_zone(name, reading, result, received)
    if taken.instant is None:
        return None
    again = zone_at(history, taken.instant) or name
    if again == name:
        return Attributed(patient, taken.instant, taken.uncertainty_s, taken.quality, name)
    # Within hours of a change of zone each of the two zones points at the other: let the uncertainty cover both.
    other = _in_zone(again, reading, result, received)
    apart_s = 0.0 if other.instant is None else abs((other.instant - taken.instant).total_seconds())
    return Attributed(patient, taken.instant, taken.uncertainty_s + apart_s, taken.quality, name)


def _in_zone(name: str, reading: Reading, result: Result, received: datetime) -> Resolved:
    zone = zone_named(name)
    if zone is None:
        return Resolved(None, 0.0, Quality.UNSET)
    return resolve_reading(reading, result, received, zone)


def _touches(assignment: Assignment, taken: Attributed) -> bool:
    earliest, latest = _interval(taken)
    return latest >= assignment.from_at and (assignment.to_at is None or earliest < assignment.to_at)


def _inside(assignment: Assignment, taken: Attributed) -> bool:
    earliest, latest = _interval(taken)
    return earliest >= assignment.from_at and (assignment.to_at is None or latest < assignment.to_at)


def _interval(taken: Attributed) -> tuple[datetime, datetime]:
    around = timedelta(seconds=taken.uncertainty_s)
    try:
        return taken.instant - around, taken.instant + around
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _only(touched: Sequence[tuple[Assignment, Attributed]]) -> Attributed | Refusal:
    if not touched:
        return Refusal(Reason.UNASSIGNED_METER, "the meter is assigned to nobody at the time of the test")
    if len(touched) > 1:
        return Refusal(
            Reason.AMBIGUOUS_ASSIGNMENT,
            f"the time of the test, with its uncertainty, touches {len(touched)} assignments",
        )
    assignment, taken = touched[0]
    if not _inside(assignment, taken):
        return Refusal(
            Reason.AMBIGUOUS_ASSIGNMENT,
            "the time of the test, with its uncertainty, crosses an end of the assignment",
        )
    return taken
