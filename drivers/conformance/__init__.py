"""The kit by which anyone proves that a driver keeps its promises (`drivers.contract`).

What it takes: a driver, its profile, and what the meter says: a recorded conversation, or better a simulated meter
of about twenty lines (`drivers.conformance.simulator`). Either at the command line::

    python -m drivers.conformance --driver mymeter --profile mymeter.toml mymeter.capture
    python -m drivers.conformance --driver mymeter --simulator my_simulator:SimulatedThing

or as tests of your own, run by pytest or by unittest's loader::

    from drivers.conformance import Conversation, DriverConformance, SimulatorConformance

    class TestMyMeter(DriverConformance):
        driver = MyDriver
        profile = {"low": "0.8"}
        conversation = Conversation(b"HELLO;", b"RESULT 2.5;", b"BYE;")

    class TestMyMeterLive(SimulatorConformance):
        driver = MyDriver
        simulator = SimulatedThing

Needs hypothesis (``inr-gateway[conformance]``); nothing else in the product imports this package.
"""

from drivers.conformance.conversation import Conversation
from drivers.conformance.host import BrokenPromiseError, Host, play
from drivers.conformance.line import Line, recorded
from drivers.conformance.live import SimulatorConformance
from drivers.conformance.simulator import CannotError, SimulatedMeter, StoredTest
from drivers.conformance.suite import DriverConformance

__all__ = [
    "BrokenPromiseError",
    "CannotError",
    "Conversation",
    "DriverConformance",
    "Host",
    "Line",
    "SimulatedMeter",
    "SimulatorConformance",
    "StoredTest",
    "play",
    "recorded",
]
