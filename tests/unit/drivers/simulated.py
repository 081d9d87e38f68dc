"""A simulated ASTM meter at work in a thread, on a pty or a TCP port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from simulators.astm.dialect import Timers
from simulators.astm.instrument import Instrument
from simulators.ledger import Ledger
from simulators.mounts.link import Mount
from simulators.scenario import five_weeks

SCENARIO = five_weeks(date(2026, 3, 14)).model_copy(update={"timers": Timers(scale=0.05)})


@contextmanager
def at_work(mount: Mount) -> Iterator[Instrument]:
    """The meter offers its memory at the mount, which was plugged in, until it was told that all is received."""
    ledger, stop = Ledger(), threading.Event()
    instrument = Instrument(SCENARIO, ledger)
    thread = threading.Thread(target=instrument.run, args=(mount, stop), kwargs={"until_delivered": True})
    thread.start()
    try:
        yield instrument
    finally:
        stop.set()
        thread.join(20)
        ledger.close()
    assert not thread.is_alive()
