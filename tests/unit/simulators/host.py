"""A tiny host and a tiny reader of the tests' own, so that the simulator is not judged by code it shares."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator

from simulators.astm.instrument import Instrument
from simulators.mounts.link import Mount

WITHIN_S = 40.0
STX, ETX, EOT, ENQ, ACK, NAK, ETB = (bytes([octet]) for octet in (2, 3, 4, 5, 6, 0x15, 0x17))


def read_frame(frame: bytes) -> tuple[int, bytes, bool]:
    """Number, text and whether more follows; asserts that the checksum is right."""
    found = re.fullmatch(rb"\x02([0-7])(.*)([\x03\x17])([0-9A-F]{2})(\r\n|\n)", frame, re.DOTALL)
    assert found, frame
    number, text, end, summed, _ = found.groups()
    total = 0
    for octet in number + text + end:
        total = (total + octet) & 0xFF
    assert summed == f"{total:02X}".encode(), frame
    return int(number), text, end == ETB


class Host:
    """Receives as E1381 tells a host to, over any pair of read (empty when nothing came) and write."""

    def __init__(self, read: Callable[[], bytes], write: Callable[[bytes], object]) -> None:
        self._read = read
        self._write = write
        self._heard = bytearray()
        self.frames: list[bytes] = []
        """Every frame with a right checksum, repetitions included."""
        self.refused: list[bytes] = []

    def message(self, replies: Iterator[bytes] | None = None) -> bytes:
        """Receive one message, from ENQ to EOT, and return its text; `replies` replaces ACK to good frames."""
        while self._octet() != ENQ:
            pass
        self._write(ACK)
        text, last = b"", None
        while (octet := self._octet()) != EOT:
            if octet != STX:
                continue
            frame = octet + self._until(b"\r\n")
            try:
                number, part, _ = read_frame(frame)
            except AssertionError:
                self.refused.append(frame)
                self._write(NAK)
                continue
            self.frames.append(frame)
            if number != last:
                text, last = text + part, number
            self._write(ACK if replies is None else next(replies, ACK))
        return text

    def one_frame(self) -> bytes:
        """The next frame, unanswered."""
        while self._octet() != STX:
            pass
        return STX + self._until(b"\r\n")

    def enquiry(self) -> None:
        """Wait for ENQ and answer it."""
        while self._octet() != ENQ:
            pass
        self._write(ACK)

    def answer(self, octets: bytes) -> None:
        self._write(octets)

    def _until(self, end: bytes) -> bytes:
        got = b""
        while not got.endswith(end):
            got += self._octet()
        return got

    def _octet(self) -> bytes:
        deadline_s = time.monotonic() + WITHIN_S
        while not self._heard:
            assert time.monotonic() < deadline_s, "the instrument fell silent"
            self._heard += self._read()
        octet = bytes(self._heard[:1])
        del self._heard[:1]
        return octet


class Running:
    """An instrument at work in a thread."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, instrument: Instrument, mount: Mount, *, until_delivered: bool = True) -> threading.Thread:
        def work() -> None:
            instrument.run(mount, self._stop, until_delivered=until_delivered)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self._threads.append(thread)
        return thread

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(WITHIN_S)
            assert not thread.is_alive(), "the instrument did not stop"
