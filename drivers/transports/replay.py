"""A capture in the meter's place: it sends what the meter sent and compares what it is told."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

from drivers.errors import FramingError, TransportError, TransportReason
from drivers.transports.base import Transport
from drivers.transports.capture import FROM_METER, TO_METER, Line, read_capture

__all__ = ["Difference", "ReplayTransport"]


class Difference(NamedTuple):
    """What the host wrote other than in the capture.

    Attributes:
        line: line of the capture that says what was expected; 0 after its end.
    """

    line: int
    expected: bytes
    written: bytes


class ReplayTransport(Transport):
    """Plays a capture back as fast as it is read.

    Like the meter it goes on only when the host has written as many octets as in the capture; a host that stays
    silent for longer than `patience_s` of waiting ends the replay.

    Attributes:
        written: everything the host wrote.
        differences: where that is not what the capture holds.

    Args:
        path: the capture.
        patience_s: how long `read` waits in all for the host to write; a little more than the receiver's 30 s.

    Raises:
        TransportError: the file is missing or no capture.
    """

    kind = "replay"

    def __init__(self, path: Path, *, patience_s: float = 35.0) -> None:
        self.peer = f"replay:{path}"
        try:
            content = path.read_bytes()
            lines = list(read_capture(content))
        except OSError as error:
            raise TransportError(
                f"{self.peer}: cannot be read: {error.strerror}", TransportReason.NOT_FOUND
            ) from error
        except FramingError as error:
            raise TransportError(f"{self.peer}: {error}", TransportReason.MISCONFIGURED) from error
        self.written = b""
        self.differences: list[Difference] = []
        self._lines: deque[Line] = deque(line for line in lines if line.octets)
        self._sent = 0  # octets of the first line that were read already
        self._answered = 0  # octets of the first line that the host has written already
        self._patience_s = patience_s
        self._waited_s = 0.0
        self._closed = False

    def read(self, max_octets: int, timeout_s: float) -> bytes:
        """The meter's next octets, or none while it waits for the host."""
        if self._closed:
            raise TransportError(f"{self.peer}: the replay was closed", TransportReason.CLOSED)
        if not self._lines:
            raise TransportError(f"{self.peer}: the capture ends here", TransportReason.CLOSED)
        line = self._lines[0]
        if line.direction == TO_METER:
            return self._wait(line, timeout_s)
        self._waited_s = 0.0
        octets = line.octets[self._sent : self._sent + max_octets]
        self._sent += len(octets)
        if self._sent == len(line.octets):
            self._lines.popleft()
            self._sent = 0
        return octets

    def write(self, octets: bytes) -> None:
        """Compare with what the host wrote in the capture."""
        if self._closed:
            raise TransportError(f"{self.peer}: the replay was closed", TransportReason.CLOSED)
        self.written += octets
        while octets:
            line = next((line for line in self._lines if line.direction == TO_METER), None)
            if line is None:
                self.differences.append(Difference(0, b"", octets))
                return
            expected = line.octets[self._answered : self._answered + len(octets)]
            written, octets = octets[: len(expected)], octets[len(expected) :]
            if written != expected:
                self.differences.append(Difference(line.number, expected, written))
            self._answered += len(expected)
            if self._answered == len(line.octets):
                self._lines.remove(line)
                self._answered = 0

    def close(self) -> None:
        """Stop. What the capture still expects from the host counts as a difference."""
        if self._closed:
            return
        self._closed = True
        for line in self._lines:
            if line.direction == TO_METER:
                self.differences.append(Difference(line.number, line.octets[self._answered :], b""))
                self._answered = 0

    @property
    def finished(self) -> bool:
        """Whether everything the meter sent was read."""
        return not any(line.direction == FROM_METER for line in self._lines)

    def _wait(self, line: Line, timeout_s: float) -> bytes:
        if self._waited_s >= self._patience_s:
            raise TransportError(
                f"{self.peer}: at line {line.number} the host should write {len(line.octets)} octets and does not",
                TransportReason.TIMED_OUT,
            )
        pause_s = max(0.001, min(timeout_s, self._patience_s - self._waited_s))
        time.sleep(pause_s)
        self._waited_s += pause_s
        return b""
