"""Captures: every octet of a connection, with time and direction, in a text file that people and programs can read.

::

    # inr-gateway capture 1
    2026-03-14T07:30:05.123456Z ! open tcp://192.0.2.7:4001
    2026-03-14T07:30:05.133456Z < 05
    2026-03-14T07:30:05.133989Z > 06
    2026-03-14T07:30:09.000001Z ! close

``<`` came from the meter, ``>`` went to it (hexadecimal octets), ``!`` is a remark. A file that reached its size is
renamed to ``NAME.1``, the one before to ``NAME.2``, and so on; each begins with the first line. A capture holds
patients' results: only its owner may read it.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from drivers.errors import FramingError, FramingReason, TransportError
from drivers.transports.base import Transport

__all__ = ["FROM_METER", "REMARK", "TO_METER", "CapturingTransport", "Line", "captured_octets", "read_capture"]

HEADER = "# inr-gateway capture 1"
FROM_METER, TO_METER, REMARK = "<", ">", "!"
_LINE_OCTETS = 4096

_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class CapturingTransport(Transport):
    """Any transport, with a copy of what it moves.

    Each line is handed to the operating system before the octets are used. When the file cannot be written the
    capture ends with a warning in the log; reading the meter is worth more than its capture.

    Args:
        transport: what to capture; this object then owns it.
        path: the file; appended to if it exists.
        max_octets: size at which it is renamed.
        keep: how many renamed files to keep; older ones are removed.
        now: the clock.
    """

    def __init__(
        self,
        transport: Transport,
        path: Path,
        *,
        max_octets: int = 10_000_000,
        keep: int = 5,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.kind = transport.kind
        self.peer = transport.peer
        self._transport = transport
        self._path = path
        self._max_octets = max_octets
        self._keep = keep
        self._now = now
        self._file: int | None = None
        self._size = 0
        self._ended = False
        self._is_new = True
        self._lock = threading.Lock()
        self._note(REMARK, f"open {self.peer}")

    def read(self, max_octets: int, timeout_s: float) -> bytes:
        """Wait for octets."""
        try:
            octets = self._transport.read(max_octets, timeout_s)
        except TransportError as error:
            self._note(REMARK, f"error {error.reason}")
            raise
        if octets:
            self._note(FROM_METER, octets)
        return octets

    def write(self, octets: bytes) -> None:
        """Send octets."""
        self._note(TO_METER, octets)
        try:
            self._transport.write(octets)
        except TransportError as error:
            self._note(REMARK, f"error {error.reason}")
            raise

    def sync(self) -> None:
        """Have on disk what was moved so far.

        Raises:
            OSError: it is not: the capture ended, because its file could not be written.
        """
        with self._lock:
            if self._file is None:
                raise OSError(errno.EIO, "the capture could not be written", str(self._path))
            os.fsync(self._file)
            if self._is_new:
                folder = os.open(self._path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
                self._is_new = False

    def close(self) -> None:
        """Close the connection and the file."""
        self._transport.close()
        self._note(REMARK, "close")
        with self._lock:
            self._ended = True
            self._close_file()

    def _note(self, direction: str, content: bytes | str) -> None:
        moment = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        parts: list[str] = []
        if isinstance(content, str):
            parts.append(" ".join(content.split()))
        else:
            parts += [content[at : at + _LINE_OCTETS].hex() for at in range(0, len(content), _LINE_OCTETS)]
        with self._lock:
            for part in parts:
                self._append(f"{moment} {direction} {part}\n".encode())

    def _append(self, line: bytes) -> None:
        if self._ended:
            return
        try:
            if self._file is not None and self._size + len(line) > self._max_octets:
                self._rotate()
            if self._file is None:
                self._open_file()
            self._write_all(line)
        except OSError as error:
            self._ended = True
            self._close_file()
            _log.warning("capture %s ends: %s; the meter is still read", self._path, error)

    def _open_file(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.fchmod(self._file, 0o600)
        self._size = os.fstat(self._file).st_size
        if self._size == 0:
            self._write_all(f"{HEADER}\n".encode())

    def _write_all(self, line: bytes) -> None:
        assert self._file is not None
        left = memoryview(line)
        while left:
            left = left[os.write(self._file, left) :]
        self._size += len(line)

    def _rotate(self) -> None:
        self._close_file()
        self._numbered(self._keep).unlink(missing_ok=True)
        for number in range(self._keep - 1, -1, -1):
            older = self._numbered(number)
            if older.exists():
                older.rename(self._numbered(number + 1))
        if self._keep == 0:
            self._path.unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Line(NamedTuple):
    """One line of a capture.

    Attributes:
        number: its line number in the file.
        time: when, with zone.
        direction: `FROM_METER`, `TO_METER` or `REMARK`.
        octets: what was moved; empty for remarks.
        remark: text of a remark.
    """

    number: int
    time: datetime
    direction: str
    octets: bytes
    remark: str


def read_capture(content: bytes) -> Iterator[Line]:
    """Read the lines of a capture file. A last line that was cut off is left out.

    Raises:
        FramingError: this is no capture; the offset is that of the line.
    """
    if not content.startswith(HEADER.encode()):
        raise FramingError(f"a capture begins with the line {HEADER!r}", FramingReason.UNEXPECTED, offset=0)
    offset = 0
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        if line.startswith(b"#") or not line.strip():
            offset += len(line)
            continue
        try:
            moment, direction, text = line.decode().rstrip("\r\n").split(" ", 2)
            time = datetime.fromisoformat(moment)
            if direction not in (FROM_METER, TO_METER, REMARK):
                raise ValueError(direction)
            octets = b"" if direction == REMARK else bytes.fromhex(text)
        except ValueError:
            if not line.endswith(b"\n"):
                return
            raise FramingError(
                f"line {number} is no line of a capture", FramingReason.UNEXPECTED, offset=offset
            ) from None
        if not line.endswith(b"\n"):
            return
        yield Line(number, time, direction, octets, text if direction == REMARK else "")
        offset += len(line)


def captured_octets(content: bytes) -> bytes | None:
    """What came from the meter, if this is a capture; None if it is none."""
    if not content.startswith(HEADER.encode()):
        return None
    return b"".join(line.octets for line in read_capture(content) if line.direction == FROM_METER)
