"""The proof that the driver keeps its contract: ``pytest proof.py``, once the package is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from simulated_fingertip import SimulatedFingertip  # type: ignore[import-not-found]  # it stands beside this file

from drivers import registry
from drivers.conformance import Conversation, DriverConformance, SimulatorConformance
from drivers.contract import RecordKind


class TestRecordedFingertip(DriverConformance):
    driver = registry.get("fingertip")
    conversation = Conversation.from_capture(Path(__file__).with_name("fingertip.capture"))
    expected: ClassVar[dict[Any, int]] = {RecordKind.PATIENT: 2, RecordKind.CONTROL: 1, RecordKind.ERROR: 1}


class TestSimulatedFingertip(SimulatorConformance):
    driver = registry.get("fingertip")
    simulator = SimulatedFingertip
