"""Links that are lost at every segment, and other faults of the air: the journal gets every test."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial

import pytest

from drivers.transports.ble.bonds import BondFile
from simulators.ble.dialect import Fault
from simulators.ble.instrument import Instrument
from simulators.scenario import five_weeks
from tests.integration.ble.air import Air, meter, until
from tests.integration.ble.home import Home

SEGMENTS = 10
MEMORY = five_weeks(date(2026, 3, 14)).memory[:4]
"""Two patient's tests and a control, and one above the range: about a dozen segments of 24 octets."""


def add(air: Air, home: Home, instrument: Instrument) -> None:
    put = BondFile(home.configuration.hub.bonds).put
    put(instrument.address, "", "authenticated", at=datetime.now(UTC), by="somebody", driver="ble_ghs")
    air.add(instrument, bonded=True)


def remembered(instrument: Instrument) -> set[tuple[str, str]]:
    """What a person would read off the meter."""
    return {
        (str(test.shown), "+INFINITY" if test.entry.inr == ">8.0" else str(test.entry.inr))
        for test in instrument.meter.memory
    }


def troubled(number: int, *faults: str) -> Instrument:
    identity = {"vendor": "INR Simulations", "model": "Sim INR", "serial": f"SN{number:05d}"}
    parsed = [Fault.parse(fault) for fault in faults]
    return meter(meter=identity, memory=MEMORY, dialect={"segment_octets": 24}, faults=parsed)


def everything_is_read(home: Home, instrument: Instrument) -> bool:
    return not instrument.unsent and set(home.tests(instrument)) == remembered(instrument)


@pytest.mark.parametrize("kind", ["drop", "drop_after"])
def test_a_link_lost_at_any_segment_loses_and_doubles_nothing(air: Air, home: Home, kind: str) -> None:
    meters = [troubled(at, f"{kind}:at={at}") for at in range(1, SEGMENTS + 1)]
    for instrument in meters:
        add(air, home, instrument)
    for instrument in meters:
        until(partial(everything_is_read, home, instrument), 30, what=instrument.meter.identity.serial)
        assert instrument._connections >= 2, "the link was not lost: fewer segments than were thought"
    assert not home.hub.journal.damaged


@pytest.mark.parametrize(
    "faults",
    [
        ("lose:at=2",),
        ("duplicate:at=2",),
        ("reorder:at=2",),
        ("wrong_counter:at=3",),
        ("slow:at=2,seconds=0.5",),
        tuple(f"drop:at={at}" for at in (1, 3, 6, 9)),
    ],
    ids=lambda faults: faults[0],
)
def test_other_faults_of_the_air(air: Air, home: Home, faults: tuple[str, ...]) -> None:
    instrument = troubled(1, *faults)
    add(air, home, instrument)
    until(partial(everything_is_read, home, instrument), 30, what="every test in the journal")
