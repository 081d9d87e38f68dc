"""The minimal lower layer protocol (HL7 transport specification, MLLP release 1): VT, message, FS, CR."""

from __future__ import annotations

__all__ = ["Reader", "TooLongError", "block"]

START = b"\x0b"
END = b"\x1c\x0d"


class TooLongError(Exception):
    """A block grew beyond the limit without an end."""


def block(message: bytes) -> bytes:
    """One message as it travels."""
    return START + message + END


class Reader:
    """Finds messages in a stream, in any chunking. What stands outside a block is skipped.

    Args:
        limit: the most octets of one message.
    """

    def __init__(self, limit: int = 16 * 1024 * 1024) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._inside = False

    def feed(self, octets: bytes) -> list[bytes]:
        """Take octets; return the messages that are whole now.

        Raises:
            TooLongError: give the connection up.
        """
        self._buffer += octets
        found: list[bytes] = []
        while True:
            if not self._inside:
                start = self._buffer.find(START)
                if start < 0:
                    self._buffer.clear()
                    return found
                del self._buffer[: start + 1]
                self._inside = True
            end = self._buffer.find(END)
            if end < 0:
                if len(self._buffer) > self._limit:
                    raise TooLongError(f"a block of more than {self._limit} octets without an end")
                return found
            # VT cannot stand within a message: the sender began anew after a broken one.
            found.append(bytes(self._buffer[self._buffer.rfind(START, 0, end) + 1 : end]))
            del self._buffer[: end + len(END)]
            self._inside = False
