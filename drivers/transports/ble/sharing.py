"""The hub's one radio, which all its listeners and connections share: started by the first, stopped by the last."""

from __future__ import annotations

import threading

from drivers.transports.ble.radio import Radio
from drivers.transports.ble.scanner import Timing

__all__ = ["borrowed", "give_back"]

_shared: Radio | None = None
_borrowers = 0
_sharing = threading.Lock()


def borrowed(timing: Timing | None = None) -> Radio:
    """The hub's radio, started by the first who needs it; give it back. Raises as `Radio.start`."""
    global _shared, _borrowers
    with _sharing:
        if _shared is None:
            radio = Radio(timing=timing)
            radio.start()
            _shared = radio
        _borrowers += 1
        return _shared


def give_back(radio: Radio) -> None:
    """The last one stops it."""
    global _shared, _borrowers
    with _sharing:
        _borrowers -= 1
        last = _borrowers == 0
        if last:
            _shared = None
    if last:
        radio.stop()
