"""The kit by which anyone proves that a driver keeps its promises (`drivers.contract`).

What it takes: a driver, its profile, and a conversation: what the meter said, as a capture or as octets. Either at
the command line::

    python -m drivers.conformance --driver mymeter --profile mymeter.toml mymeter.capture

or as tests of your own, run by pytest or by unittest's loader::

    from drivers.conformance import Conversation, DriverConformance

    class TestMyMeter(DriverConformance):
        driver = MyDriver
        profile = {"low": "0.8"}
        conversation = Conversation(b"HELLO;", b"RESULT 2.5;", b"BYE;")

Needs hypothesis (``inr-gateway[conformance]``); nothing else in the product imports this package.
"""

from drivers.conformance.conversation import Conversation
from drivers.conformance.host import BrokenPromiseError, Host, play
from drivers.conformance.suite import DriverConformance

__all__ = ["BrokenPromiseError", "Conversation", "DriverConformance", "Host", "play"]
