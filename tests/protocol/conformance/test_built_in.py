"""Every driver that is built in passes the kit that third parties get, in each of its ways to speak."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drivers.conformance import DriverConformance
from drivers.contract import Driver, RecordKind
from drivers.meters.astm import AstmDriver
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.meters.poct1a import Poct1aDriver
from simulators.astm.dialect import Dialect as AstmDialect
from simulators.astm.dialect import Framing, Grouping
from simulators.ieee11073.dialect import Dialect as AgentDialect
from simulators.ieee11073.dialect import Transfer
from simulators.poct1a.dialect import COAGUCHEK, PT2
from tests.protocol.conformance import recorded

PROFILES = Path(__file__).resolve().parents[3] / "config" / "profiles"
MEMORY = slice(1, 6)
"""A control, a patient's result, one above the range, another, an error."""
EXPECTED = {RecordKind.PATIENT: 3, RecordKind.CONTROL: 1, RecordKind.ERROR: 1}
TWO_RESULTS = {RecordKind.PATIENT: 2}


def profile(name: str) -> dict[str, Any]:
    return tomllib.loads((PROFILES / f"{name}.toml").read_text(encoding="utf-8"))


class BuiltIn(DriverConformance):
    expected = EXPECTED
    examples = 25
    most_cuts = 400
    most_held_octets = 1_500_000


class TestAstm(BuiltIn):
    driver = AstmDriver
    profile = profile("home_inr_astm")
    conversation = recorded.astm(AstmDriver(profile), AstmDialect(), MEMORY)


class TestAstmWholeMemoryInStreamedFrames(BuiltIn):
    driver = AstmDriver
    profile = profile("home_inr_astm")
    conversation = recorded.astm(
        AstmDriver(profile),
        AstmDialect(framing=Framing.STREAM, grouping=Grouping.MEMORY, trailer="lf", establishment=False),
        MEMORY,
    )


class Poct1a(BuiltIn):
    driver = Poct1aDriver

    def new_driver(self) -> Driver:
        return Poct1aDriver(self.profile, wall_clock=lambda: datetime(2026, 3, 14, 16, tzinfo=UTC))


class TestPoct1aPt2(Poct1a):
    """Its acknowledgements name nothing, so a repetition gets its own only when the first was surely lost."""

    profile = profile("coag_sense_pt2")
    conversation = recorded.poct1a(Poct1aDriver(profile), PT2, MEMORY)
    repeats_after_s = PT2.application_timeout_s


class TestPoct1aCoaguchek(Poct1a):
    profile = profile("coaguchek_poct1a")
    conversation = recorded.poct1a(Poct1aDriver(profile), COAGUCHEK, MEMORY)


class TestPoct1aWrapped(Poct1a):
    profile = profile("coaguchek_poct1a")
    conversation = recorded.poct1a(
        Poct1aDriver(profile), COAGUCHEK.model_copy(update={"wrapped": True}), slice(2, 4)
    )
    expected = TWO_RESULTS


class TestIeee11073Live(BuiltIn):
    driver = Ieee11073Driver
    conversation = recorded.agent(Ieee11073Driver({}), AgentDialect(), MEMORY)


class TestIeee11073Stored(BuiltIn):
    driver = Ieee11073Driver
    conversation = recorded.agent(
        Ieee11073Driver({}), AgentDialect(transfer=Transfer.STORE, entries_per_event=2), MEMORY
    )
    repeats_after_s = 2.0
    """The host's own question is open meanwhile, and an answer to it is awaited for 3 s."""

    def repeats(self, turn: bytes) -> bool:
        return turn[8:9] == b"\x01"  # an invocation; an answer to the host's order is not sent again
