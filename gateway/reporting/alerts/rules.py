"""The rules of alerts: each says what is so now. What has come is opened, what has gone is closed.

Details are shown to whoever looks at an alert; they are never logged.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.clock import EARLIEST, MeterOffset, meter_error, moment, utc
from gateway.reporting.alerts.configuration import Watching
from gateway.reporting.alerts.judging import quantity_of, reading_in
from gateway.reporting.limits import inherited, interpret, local_day, numbers
from gateway.result import normalised_inr
from gateway.store import expected, live, presence, watched
from gateway.store.alerts import Finding
from gateway.store.desk import DESK
from gateway.store.opening import Role
from gateway.wire.reading import Reading

__all__ = ["QUARANTINE", "hub_silent", "meter_clock", "no_delivery", "no_test", "not_live", "out_of_target"]

QUARANTINE = "quarantine"
_SIMULATED = "origin"
"""Reason of what a production store never lets in; nobody waits for it."""
_SAID = {
    "LL": "below critical low",
    "L": "below target",
    "H": "above target",
    "HH": "at or above critical high",
}


def patient(patient_id: str) -> str:
    """The subject of what is about a patient."""
    return f"patient {patient_id}"


def out_of_target(database: sqlite3.Connection, patients: Iterable[str]) -> dict[str, Finding]:
    """Patients whose latest test lies outside the target that held then."""
    found = {}
    for patient_id in patients:
        version = watched.newest(database, patient_id)
        if version is None:
            continue
        limits = inherited(database, patient_id, moment(version.taken_at))
        quantity = quantity_of(version)
        codes = interpret(quantity, limits)
        if limits is not None and codes and codes[0] in _SAID:
            detail = (
                f"result {version.result_id}: {normalised_inr(quantity)}, {_SAID[codes[0]]} "
                f"({limits.target_low} to {limits.target_high})"
            )
            found[patient(patient_id)] = Finding(detail, patient_id)
    return found


def not_live(database: sqlite3.Connection, patients: Iterable[str], role: Role) -> dict[str, Finding]:
    """Patients with results in a production store whom nobody put live, or whose limits have become incomplete.

    The results are stored and reported like any other: withholding a value from whoever treats the patient would do
    harm, and being not live is the supplier's omission, not theirs. So it is the supplier who is alerted.
    """
    found: dict[str, Finding] = {}
    for patient_id in patients if role == "production" else ():
        version = watched.newest(database, patient_id)
        if version is None:
            continue
        missing = numbers(database, patient_id, moment(version.taken_at)).missing
        if not live.is_live(database, patient_id):
            found[patient(patient_id)] = Finding(f"result {version.result_id} came, and is not live", patient_id)
        elif missing:
            found[patient(patient_id)] = Finding("; ".join(missing), patient_id)
    return found


def no_test(
    database: sqlite3.Connection, watching: Watching, now: dt.datetime, patient_id: str | None = None
) -> dict[str, Finding]:
    """Patients who have a meter and have not tested within the ordered interval, in days of their own zone."""
    settings, found = watching.alerts, {}
    for each in expected.with_a_meter(database, utc(now), patient_id):
        every = each.interval_days or settings.test_every_days
        last = moment(max(each.since, each.last_taken_at or ""))
        if now - last < dt.timedelta(days=every + settings.test_grace_days):
            continue
        today, then = (local_day(database, each.patient_id, at) for at in (now, last))
        days = (today - then).days
        if each.ended_on is not None and dt.date.fromisoformat(each.ended_on) <= today:
            continue
        if days > every + settings.test_grace_days:
            said = "no test yet" if each.last_taken_at is None or each.last_taken_at < each.since else "no test"
            found[patient(each.patient_id)] = Finding(
                f"{said} since {then}, {every} days are ordered", each.patient_id
            )
    return found


def no_delivery(database: sqlite3.Connection, watching: Watching, now: dt.datetime) -> dict[str, Finding]:
    """Destinations that do not acknowledge, patients of whom nothing leaves, and what waits for a person."""
    before = utc(now - dt.timedelta(hours=watching.alerts.delivery_within_h))
    found = {
        f"destination {each.destination_id}": Finding(f"{each.reports} reports wait, one since {each.oldest}")
        for each in expected.stuck(database, before)
    }
    for patient_id, count, oldest in watched.unreported(database, before):
        text = f"{count} results have no report, the oldest since {oldest}: see 'inr-gateway deliveries'"
        found[patient(patient_id)] = Finding(text, patient_id)
    waiting = expected.held(database, before, _SIMULATED)
    if waiting is not None:
        text = f"{waiting.rows} rows wait for a person, the oldest since {waiting.oldest}"
        found[QUARANTINE] = Finding(text)
    return found


def hub_silent(database: sqlite3.Connection, watching: Watching, now: dt.datetime) -> dict[str, Finding]:
    """Hubs in homes of which nothing has been heard for too long."""
    longest = dt.timedelta(hours=watching.alerts.hub_silent_h)
    found = {}
    for hub in presence.home_hubs(database, DESK):
        quiet_since = hub.heard_at or hub.registered_at
        if now - moment(quiet_since) < longest:
            continue
        said = "never heard" if hub.heard_at is None else f"last heard {quiet_since}"
        if hub.online is False:
            said += f", off since {hub.since}"
        found[f"hub {hub.hub}"] = Finding(said)
    return found


def meter_clock(
    database: sqlite3.Connection, watching: Watching, readings: Mapping[str, int]
) -> tuple[dict[str, Finding], tuple[str, ...]]:
    """Meters whose clock is off, by the newest readings that tell.

    Args:
        database: the store.
        watching: says from how many minutes on.
        readings: by the key of the meter, its newest reading.

    Returns:
        What was found, and of which meters anything could be said: the hub's own clock must have been right.
    """
    found: dict[str, Finding] = {}
    known: list[str] = []
    for key, reading_id in readings.items():
        reading = reading_in(watched.reading_of(database, reading_id))
        if reading is None:
            continue
        subject, error_min = f"meter {key}", _error_min(reading)
        if _without_time(reading):
            found[subject] = Finding("its tests carry no time that can be right: its clock was never set")
        if error_min is None and subject not in found:
            continue
        known.append(subject)
        if error_min is not None and abs(error_min) > watching.alerts.clock_off_min:
            way = "ahead of" if error_min > 0 else "behind"
            found[subject] = Finding(f"its clock is {abs(error_min):.0f} minutes {way} the hub's")
    return found, tuple(known)


def _without_time(reading: Reading) -> bool:
    time = None if reading.result is None else reading.result.device_time
    return time is None or time.local is None or time.local < EARLIEST


def _error_min(reading: Reading) -> float | None:
    clock = reading.meter_clock
    if clock is None or clock.device_time.local is None or not reading.hub_clock.synchronised:
        return None
    try:
        zone = ZoneInfo(reading.zone)
        offset = MeterOffset(clock.device_time.local, clock.device_time.utc_offset_min, clock.hub_time, True)
        return meter_error(offset, zone).total_seconds() / 60
    except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError):
        return None
