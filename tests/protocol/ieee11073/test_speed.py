"""How fast reports are decoded."""

from __future__ import annotations

import time

import pytest

from drivers.meters.ieee11073 import Ieee11073Driver
from tests.protocol.ieee11073.conftest import CONFIGURATION, REPORT
from tests.protocol.ieee11073.conversation import agent, converse

REPORTS = 20_000
WANTED_PER_S = 20_000


@pytest.mark.bench
def test_scan_reports_to_records() -> None:
    """From the committed octets of a conversation to a record, one INR and one PT each."""
    driver = Ieee11073Driver({})
    contexts = converse(agent()).host.messages[0][:3]
    contexts[1] = CONFIGURATION
    pieces = [[*contexts, bytes(bytearray(REPORT))] for _ in range(REPORTS)]
    best = 0.0
    for _ in range(3):
        began_s = time.process_time()
        for message in pieces:
            driver.decode(message)
        best = max(best, REPORTS / (time.process_time() - began_s))
    print(f"\n{best:,.0f} INR scan reports a second of processor time (wanted: {WANTED_PER_S:,})")
    assert best >= WANTED_PER_S
