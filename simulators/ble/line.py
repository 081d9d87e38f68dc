"""Segments that go astray on script, between the sensor and the radio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from simulators.ble.dialect import Fault, FaultKind
from simulators.ble.gatt import Drop, Pause, Say, Step

__all__ = ["Line"]

_OF_SEGMENTS: Final = (
    FaultKind.DROP,
    FaultKind.DROP_AFTER,
    FaultKind.LOSE,
    FaultKind.DUPLICATE,
    FaultKind.REORDER,
    FaultKind.WRONG_COUNTER,
    FaultKind.SLOW,
)
_FARTHEST_COUNTER: Final = 0x20 << 2


class Line:
    """Counts segments from 1 over all connections, and does with each what the faults say."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._faults = [fault for fault in faults if fault.kind in _OF_SEGMENTS]
        self._segments = 0
        self._held: Say | None = None

    def leaves(self, segment: Say) -> Iterator[Step]:
        """What happens when a segment is to leave, in order."""
        self._segments += 1
        faults = [fault for fault in self._faults if fault.at == self._segments]
        if any(fault.kind is FaultKind.REORDER for fault in faults):
            self._held = segment
            return
        steps: list[Step] = [segment]
        for fault in faults:
            steps = _with(fault, steps)
        yield from steps
        held, self._held = self._held, None
        if held is not None:
            yield held

    def lost(self) -> None:
        """The connection is over; what was held back is gone."""
        self._held = None


def _with(fault: Fault, steps: list[Step]) -> list[Step]:
    match fault.kind:
        case FaultKind.DROP:
            return [Drop()]
        case FaultKind.DROP_AFTER:
            return [*steps, Drop()]
        case FaultKind.LOSE:
            return []
        case FaultKind.DUPLICATE:
            return [step for step in steps for _ in (1, 2)]
        case FaultKind.SLOW:
            return [Pause(fault.seconds or 0.0), *steps]
    return [_miscounted(step) if isinstance(step, Say) else step for step in steps]


def _miscounted(segment: Say) -> Say:
    return replace(segment, value=bytes([segment.value[0] ^ _FARTHEST_COUNTER]) + segment.value[1:])
