"""Every driver that is built in passes the kit that third parties get, in each of its ways to speak.

With simulated meters here; with recordings of Bluetooth meters in `tests.protocol.ghs.test_conformance`.
"""

from __future__ import annotations

import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.conformance import SimulatorConformance
from drivers.contract import Driver
from drivers.meters.astm import AstmDriver
from drivers.meters.ble_ghs import BleGhsDriver
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.meters.poct1a import Poct1aDriver
from simulators.poct1a.dialect import PT2
from tests.protocol.conformance import meters

PROFILES = Path(__file__).resolve().parents[3] / "config" / "profiles"
EXPLORE = "EXPLORE" in os.environ


def profile(name: str) -> dict[str, Any]:
    return tomllib.loads((PROFILES / f"{name}.toml").read_text(encoding="utf-8"))


class BuiltIn(SimulatorConformance):
    examples = 100 if EXPLORE else 15
    most_cuts = 1000 if EXPLORE else 200
    most_live_cuts = 1000 if EXPLORE else 60
    most_held_octets = 1_500_000


class Further(BuiltIn):
    """Another way to speak of a driver that was tried with everything."""

    most_cuts = 1000 if EXPLORE else 60
    most_live_cuts = 1000 if EXPLORE else 25
    test_floods_fill_no_memory = None  # type: ignore[assignment]  # it is the same memory


class TestAstm(BuiltIn):
    driver = AstmDriver
    profile = profile("home_inr_astm")
    simulator = meters.AstmMeter


class TestAstmResumed(Further):
    driver = AstmDriver
    profile = profile("home_inr_astm")
    simulator = meters.ResumingAstmMeter


class TestAstmWholeMemoryInStreamedFrames(Further):
    driver = AstmDriver
    profile = profile("home_inr_astm")
    simulator = meters.StreamingAstmMeter


class Poct1a(SimulatorConformance):
    driver = Poct1aDriver

    def new_driver(self) -> Driver:
        return Poct1aDriver(self.profile, wall_clock=lambda: datetime(2026, 3, 14, 16, tzinfo=UTC))


class TestPoct1aCoaguchek(Poct1a, BuiltIn):
    profile = profile("coaguchek_poct1a")
    simulator = meters.CoaguchekMeter


class TestPoct1aPt2(Poct1a, Further):
    """Its acknowledgements name nothing, so a repetition gets its own only when the first was surely lost."""

    profile = profile("coag_sense_pt2")
    simulator = meters.Pt2Meter
    repeats_after_s = PT2.application_timeout_s


class TestPoct1aWrapped(Poct1a, Further):
    profile = profile("coaguchek_poct1a")
    simulator = meters.WrappedPoct1aMeter


class TestIeee11073Live(BuiltIn):
    driver = Ieee11073Driver
    simulator = meters.AgentMeter


class TestIeee11073Stored(Further):
    driver = Ieee11073Driver
    simulator = meters.StoringAgentMeter

    def repeats(self, turn: bytes) -> bool:
        """Answers are not sent again; after a segment's last event the host waits for one, and for nothing else."""
        is_event, is_last = turn[8:9] == b"\x01", turn[32:33] >= b"\x40"
        return is_event and not is_last


class TestIeee11073Asked(Further):
    driver = Ieee11073Driver
    simulator = meters.AskedAgentMeter
    acknowledges = False  # an answer to a data request is confirmed by nobody


class TestGhs(BuiltIn):
    driver = BleGhsDriver
    simulator = meters.GhsMeter
    acknowledges = False  # the radio confirms by itself

    def repeats(self, turn: bytes) -> bool:
        return turn[2] == 0x86  # an answer to a request is not sent again


class TestGhsByHalves(TestGhs, Further):
    """Segments of 20 octets, other lengths, and a memory that cannot be asked from a record on."""

    simulator = meters.SmallGhsMeter
