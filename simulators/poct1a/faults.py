"""A line that misbehaves on script, between the device and the mount.

Documents are counted from 1 as they are transmitted, repetitions included; octets are counted from 1 as they leave.
Both counts start with the simulator's process.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from simulators.mounts.steps import Pause, Step, Unplug
from simulators.part import WrittenFault

__all__ = ["Fault", "FaultKind", "Line"]

_BETWEEN_PIECES_S: Final = 0.002


class FaultKind(StrEnum):
    """What goes wrong."""

    CUT = "cut"
    """The connection breaks after octet `Fault.octet` and comes back after `Fault.seconds`."""
    UNPLUG = "unplug"
    """The same after a whole document."""
    DROP = "drop"
    """The document is swallowed by the line."""
    DUPLICATE = "duplicate"
    """The document leaves twice, glued together in one write."""
    SPLIT = "split"
    """The document leaves in pieces of `Fault.size` octets."""
    DELAY = "delay"
    """`Fault.seconds` pass before the document leaves."""
    GARBAGE = "garbage"
    """`Fault.octets` leave before the document, glued to it."""
    WRONG_XML = "wrong_xml"
    """The document arrives whole, but the end tag of its header is missing."""


_NEEDS: Final[dict[FaultKind, set[str]]] = {
    FaultKind.CUT: {"octet", "seconds"},
    FaultKind.UNPLUG: {"document", "seconds"},
    FaultKind.DROP: {"document"},
    FaultKind.DUPLICATE: {"document"},
    FaultKind.SPLIT: {"document", "size"},
    FaultKind.DELAY: {"document", "seconds"},
    FaultKind.GARBAGE: {"document", "octets"},
    FaultKind.WRONG_XML: {"document"},
}


class Fault(WrittenFault):
    """One fault, at one document or one octet, for example ``cut:octet=1500,seconds=0.2``.

    Attributes:
        octets: in hexadecimal.
    """

    kind: FaultKind
    document: Annotated[int, Field(ge=1)] | None = None
    octet: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    size: Annotated[int, Field(ge=1)] | None = None
    octets: Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{2})+$")] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        names = ("document", "octet", "seconds", "size", "octets")
        given = {name for name in names if getattr(self, name) is not None}
        if given != _NEEDS[self.kind]:
            needs = ", ".join(sorted(_NEEDS[self.kind]))
            raise ValueError(f"a {self.kind} needs {needs}, but has {', '.join(sorted(given)) or 'nothing'}")
        return self


class Line:
    """Turns the documents that the device transmits into what really leaves."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._at_document: defaultdict[int, list[Fault]] = defaultdict(list)
        self._cuts = sorted((fault.octet, fault.seconds or 0.0) for fault in faults if fault.octet is not None)
        for fault in faults:
            if fault.document is not None:
                self._at_document[fault.document].append(fault)
        self._documents = 0
        self._octets = 0

    def leaves(self, document: bytes) -> list[Step]:
        """What happens on the wire when a document is transmitted, in order."""
        self._documents += 1
        steps: list[Step] = [document]
        for fault in self._at_document.pop(self._documents, ()):
            steps = self._with(fault, steps)
        return self._until_cut(steps)

    @staticmethod
    def _with(fault: Fault, steps: list[Step]) -> list[Step]:
        octets = b"".join(step for step in steps if isinstance(step, bytes))
        match fault.kind:
            case FaultKind.DROP:
                return []
            case FaultKind.UNPLUG:
                return [*steps, Unplug(fault.seconds or 0.0)]
            case FaultKind.DELAY:
                return [Pause(fault.seconds or 0.0), *steps]
            case FaultKind.DUPLICATE:
                return [octets + octets]
            case FaultKind.GARBAGE:
                return [bytes.fromhex(fault.octets or "") + octets]
            case FaultKind.WRONG_XML:
                return [octets.replace(b"</HDR>", b"", 1)]
            case FaultKind.SPLIT:
                size = fault.size or 1
                pieces: list[Step] = []
                for start in range(0, len(octets), size):
                    pieces += [octets[start : start + size], Pause(_BETWEEN_PIECES_S)]
                return pieces
        return steps

    def _until_cut(self, steps: list[Step]) -> list[Step]:
        left: list[Step] = []
        for step in steps:
            if isinstance(step, bytes):
                if self._cuts and self._octets + len(step) >= self._cuts[0][0]:
                    octet, seconds = self._cuts.pop(0)
                    keep = max(octet - self._octets, 0)
                    self._octets += keep
                    return [*left, step[:keep], Unplug(seconds)]
                self._octets += len(step)
            left.append(step)
        return left
