"""A line that misbehaves on script, between the sender and the mount.

Frames are counted from 1 as they are transmitted, repetitions included; octets are counted from 1 as they leave,
control characters and garbage included. Both counts start with the simulator's process.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from simulators.astm.frames import ETB, ETX
from simulators.mounts.steps import Pause, Step, Unplug
from simulators.part import Part

__all__ = ["Fault", "FaultKind", "Line"]

_NOISE = b"\x7f"


class FaultKind(StrEnum):
    """What goes wrong."""

    DROP = "drop"
    """The frame or the octet is swallowed by the line."""
    DUPLICATE = "duplicate"
    """Frame: the reply to it arrives garbled, so the sender sends it again. Octet: it arrives twice."""
    DELAY = "delay"
    """`Fault.seconds` pass before the frame or the octet leaves."""
    BAD_CHECKSUM = "bad_checksum"
    """The frame leaves with a wrong checksum."""
    TRUNCATE = "truncate"
    """Only the first `Fault.keep` octets of the frame leave."""
    UNPLUG = "unplug"
    """The cable is pulled after the frame or the octet has left, and put back after `Fault.seconds`."""
    GARBAGE = "garbage"
    """`Fault.octets` leave before the frame."""


_ONLY_FRAMES = {FaultKind.BAD_CHECKSUM, FaultKind.TRUNCATE, FaultKind.GARBAGE}
_NEEDS = {
    FaultKind.DELAY: {"seconds"},
    FaultKind.UNPLUG: {"seconds"},
    FaultKind.TRUNCATE: {"keep"},
    FaultKind.GARBAGE: {"octets"},
}


class Fault(Part):
    """One fault, at one frame or one octet.

    Attributes:
        octets: in hexadecimal.
        keep: octets of the frame, counted from STX.
    """

    kind: FaultKind
    frame: Annotated[int, Field(ge=1)] | None = None
    octet: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    keep: Annotated[int, Field(ge=0)] | None = None
    octets: Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{2})+$")] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.frame is None) == (self.octet is None):
            raise ValueError(f"a {self.kind} happens at one frame or at one octet; give exactly one of the two")
        if self.octet is not None and self.kind in _ONLY_FRAMES:
            raise ValueError(f"a {self.kind} happens to a frame; give frame instead of octet")
        needed = _NEEDS.get(self.kind, set())
        given = {name for name in ("seconds", "keep", "octets") if getattr(self, name) is not None}
        if given != needed:
            wanted = ", ".join(sorted(needed)) or "nothing more"
            raise ValueError(f"a {self.kind} needs {wanted}, but has {', '.join(sorted(given)) or 'nothing more'}")
        return self


class Line:
    """Turns what the sender transmits into what really leaves, and what the host replies into what is heard."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._at_frame: defaultdict[int, list[Fault]] = defaultdict(list)
        self._at_octet: defaultdict[int, list[Fault]] = defaultdict(list)
        for fault in faults:
            if fault.frame is not None:
                self._at_frame[fault.frame].append(fault)
            elif fault.octet is not None:
                self._at_octet[fault.octet].append(fault)
        self._frames = 0
        self._octets = 0
        self._garbles_reply = False

    def leaves(self, octets: bytes, *, is_frame: bool) -> list[Step]:
        """What happens on the wire when these octets are transmitted, in order."""
        before: list[Step] = []
        after: list[Step] = []
        if is_frame:
            self._frames += 1
            for fault in self._at_frame.pop(self._frames, ()):
                octets = self._to_frame(fault, octets, before, after)
        return [*before, *self._octet_by_octet(octets), *after]

    def hears(self, octets: bytes) -> bytes:
        """What of the host's octets reaches the sender."""
        if not self._garbles_reply or not octets:
            return octets
        self._garbles_reply = False
        return _NOISE

    def _to_frame(self, fault: Fault, octets: bytes, before: list[Step], after: list[Step]) -> bytes:
        match fault.kind:
            case FaultKind.DROP:
                return b""
            case FaultKind.DUPLICATE:
                self._garbles_reply = True
            case FaultKind.DELAY:
                before.append(Pause(fault.seconds or 0.0))
            case FaultKind.BAD_CHECKSUM:
                return _with_wrong_checksum(octets)
            case FaultKind.TRUNCATE:
                return octets[: fault.keep]
            case FaultKind.UNPLUG:
                after.append(Unplug(fault.seconds or 0.0))
            case FaultKind.GARBAGE:
                return bytes.fromhex(fault.octets or "") + octets
        return octets

    def _octet_by_octet(self, octets: bytes) -> list[Step]:
        if not self._at_octet:
            self._octets += len(octets)
            return [octets] if octets else []
        steps: list[Step] = []
        run = bytearray()

        def then(step: Step) -> None:
            if run:
                steps.append(bytes(run))
                run.clear()
            steps.append(step)

        for octet in octets:
            self._octets += 1
            faults = self._at_octet.pop(self._octets, ())
            kinds = {fault.kind for fault in faults}
            for fault in faults:
                if fault.kind is FaultKind.DELAY:
                    then(Pause(fault.seconds or 0.0))
            if FaultKind.DROP not in kinds:
                run.append(octet)
            if FaultKind.DUPLICATE in kinds:
                run.append(octet)
            for fault in faults:
                if fault.kind is FaultKind.UNPLUG:
                    then(Unplug(fault.seconds or 0.0))
        if run:
            steps.append(bytes(run))
        return steps


def _with_wrong_checksum(octets: bytes) -> bytes:
    end = max(octets.rfind(ETX), octets.rfind(ETB))
    wrong = (int(octets[end + 1 : end + 3], 16) + 1) % 256
    return octets[: end + 1] + b"%02X" % wrong + octets[end + 3 :]
