"""Which test a reading is of, and whether it contradicts what is known of that test. Nothing is written here.

A meter with a running clock identifies its tests by themselves (recipe 1, `gateway.result.identity`). Without one
the hub's alignment with its last read of the meter decides, and the first reading of the chain names the test
(recipe 0). What stays ambiguous is a result of its own that waits for a person.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from gateway import result as canonical
from gateway.clock import EARLIEST, Quality, moment
from gateway.result import Kind, Result, identity
from gateway.server.attribution import resolve_reading
from gateway.server.refusals import Reason, Refusal
from gateway.server.validation import content_digest, contradictions, record_digest, understand
from gateway.server.zones import zone_named
from gateway.store import quarantine, readings, results
from gateway.store.results import Known
from gateway.wire.reading import Reading

__all__ = ["Group", "Identified", "conflict_of", "group"]

OFF_BY_DAYS = timedelta(days=2)
"""A clock that is wrong by more than any zone can explain."""


class Identified(NamedTuple):
    """A reading with its result, and the digests by which it is compared."""

    reading: Reading
    result: Result
    content: str
    record: str

    @classmethod
    def of(cls, reading: Reading) -> Identified | None:
        """Compute the digests once; None for a reading that carries a fault."""
        if reading.result is None:
            return None
        return cls(reading, reading.result, content_digest(reading.result), record_digest(reading))


class Group(NamedTuple):
    """Where a reading belongs.

    Attributes:
        key, recipe: identity of its test.
        known: the result that it joins; None for a new one.
        ambiguous: why only a person can tell whether it is a new test, or None.
        conflict: what contradicts it in the result that it joins, or None.
    """

    key: str
    recipe: int
    known: Known | None = None
    ambiguous: str | None = None
    conflict: str | None = None


def group(database: sqlite3.Connection, new: Identified, received: datetime) -> Group | Refusal:
    """Find the test of a reading; a refusal when the reading that it repeats has not arrived."""
    key = identity(new.result)
    if key is not None and _clock_was_set(new.result) and new.reading.repetition is None:
        return _by_identity(database, new, key, received)
    return _by_chain(database, new)


def _clock_was_set(result: Result) -> bool:
    time = result.device_time
    return time is not None and time.local is not None and time.local >= EARLIEST


def _by_identity(database: sqlite3.Connection, new: Identified, key: str, received: datetime) -> Group:
    root = results.by_key(database, key)
    if root is None:
        return Group(key, canonical.IDENTITY_RECIPE)
    others = results.splits(database, root.id)
    known = _one_of(database, [root, *others], new) if others else root
    known = results.by_id(database, known.id) or known
    conflict = conflict_of(database, known, new) or _another_time(database, known, new, received)
    return Group(known.key, known.recipe, known, conflict=conflict)


def _one_of(database: sqlite3.Connection, tests: list[Known], new: Identified) -> Known:
    """Of several tests with one identity the one that has these octets, else the only one with this content."""
    readings_of = {test: readings.members(database, test.id) for test in tests}
    for test, members in readings_of.items():
        if any(member.record == new.record for member in members):
            return test
    fitting = [
        test for test, members in readings_of.items() if any(each.content == new.content for each in members)
    ]
    return fitting[0] if len(fitting) == 1 else tests[0]


def _by_chain(database: sqlite3.Connection, new: Identified) -> Group | Refusal:
    reading = new.reading
    journal, own_key = str(reading.journal), f"{reading.journal}/{reading.number}"
    repetition = reading.repetition
    if repetition is not None and repetition.of is not None:
        earlier = readings.result_of(database, journal, repetition.of)
        known = None if earlier is None else results.by_id(database, earlier)
        if known is None:
            return Refusal(Reason.REPEATS_UNSEEN, f"repeats reading {repetition.of} of its journal")
        return Group(known.key, known.recipe, known, conflict=conflict_of(database, known, new))
    namesake = results.by_key(database, own_key)
    known = None if namesake is None else results.by_id(database, namesake.id)
    if known is not None:  # other octets under the same name, which a person let count as well
        return Group(own_key, 0, known, conflict=conflict_of(database, known, new))
    return Group(own_key, 0, ambiguous=_ambiguity(database, new))


def _ambiguity(database: sqlite3.Connection, new: Identified) -> str | None:
    """Why a reading without identity and without a predecessor may still be a repetition, or None."""
    if new.result.kind is not Kind.PATIENT:
        return None
    repetition, journal = new.reading.repetition, str(new.reading.journal)
    if repetition is not None and repetition.maybe:
        return f"may repeat one of the readings {', '.join(map(str, repetition.maybe))} of its journal, or be new"
    key = new.result.meter.key
    if key is None:
        return None  # it waits anyway: such a meter belongs to nobody
    others = results.unclocked(database, key, canonical.normalised_inr(new.result.inr), journal)
    if others:
        shown = ", ".join(map(str, others[:5]))
        return f"another journal has tests of this meter with the same INR and no usable time: readings {shown}"
    if repetition is None and new.result.device_time is not None and new.result.device_time.local is not None:
        return "the meter's clock was never set, and the hub did not compare it with what it read before"
    return None


# ---------------------------------------------------------------- contradictions


def conflict_of(database: sqlite3.Connection, known: Known, new: Identified) -> str | None:
    """What in a result contradicts a reading that joins it, as one sentence; None when nothing does.

    Pairs that a person has decided already do not come up again: a meter that sends its whole memory each time
    would ask the same question each time.
    """
    if Kind.PATIENT.value not in (known.kind, new.result.kind.value):
        return None
    found = _unequal_content(database, known, new) or _two_in_one_message(database, known, new)
    return None if found is None or quarantine.dismissed(database, known.id) else found


def _another_time(database: sqlite3.Connection, known: Known, new: Identified, received: datetime) -> str | None:
    """Whether the meter's clock was reset in between, so that the same time and INR came twice.

    Asked only when the clock is off by days both times: a clock that was put right between two reads of its memory
    is the common case, and no contradiction.
    """
    clock, zone = new.reading.meter_clock, zone_named(new.reading.zone)
    if clock is None or clock.device_time.local is None or zone is None or known.settled_reading:
        return None
    shown = clock.device_time.local.replace(tzinfo=UTC)
    if abs(shown - clock.hub_time) < OFF_BY_DAYS:
        return None
    first = results.latest_version(database, known.id)
    again = resolve_reading(new.reading, new.result, received, zone)
    if first is None or again.instant is None:
        return None
    if {first["quality"], again.quality.value} != {Quality.OFFSET_CORRECTED.value}:
        return None
    apart = abs(again.instant - moment(first["taken_at"]))
    if apart <= timedelta(seconds=first["uncertainty_s"] + again.uncertainty_s):
        return None
    return f"the meter's clock was reset: by the hub's clock the two tests lie {apart.days} days apart or more"


def _unequal_content(database: sqlite3.Connection, known: Known, new: Identified) -> str | None:
    seen = results.contents(database, known.id)
    decided = {content for content, first in seen.items() if first <= known.settled_reading}
    for content, first in seen.items():
        if content == new.content or (content in decided and new.content in decided):
            continue
        row = readings.find(database, first)
        other = understand(row["payload"]) if row is not None else None
        if isinstance(other, Reading) and other.result is not None:
            fields = contradictions(other.result, new.result)
            if fields:
                return f"reading {first} of the same test differs in {', '.join(fields)}"
    return None


def _two_in_one_message(database: sqlite3.Connection, known: Known, new: Identified) -> str | None:
    beside = results.same_message(database, known.id, str(new.reading.journal), new.reading.message)
    others = [row for row in beside if row["position"] != new.reading.position and row["record"] != new.record]
    if not others:
        return None
    decided = {
        member.record for member in readings.members(database, known.id) if member.id <= known.settled_reading
    }
    for row in others:
        if not (row["record"] in decided and new.record in decided):
            return f"the same message holds another record with the same identity: reading {row['id']}"
    return None
