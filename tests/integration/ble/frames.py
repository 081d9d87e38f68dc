"""The host's end of a Bluetooth transport, frame by frame."""

from __future__ import annotations

from drivers.protocols.gatt import Frame, Notified, Parser, encode
from drivers.transports.base import Transport

__all__ = ["Frames"]


class Frames:
    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._parser = Parser()
        self.notified: list[Notified] = []

    def next(self) -> Frame:
        for _ in range(20):
            if (frame := self._parser.next()) is not None:
                return frame
            self._parser.feed(self.transport.read(65_536, 0.5))
        raise AssertionError("no frame within 10 s")

    def ask(self, request: Frame) -> Frame:
        self.transport.write(encode(request))
        while isinstance(frame := self.next(), Notified):
            self.notified.append(frame)  # it may overtake the answer
        return frame

    def told(self) -> Notified:
        while not self.notified:
            frame = self.next()
            assert isinstance(frame, Notified)
            self.notified.append(frame)
        return self.notified.pop(0)
