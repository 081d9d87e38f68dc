"""E1381 frames (CLSI LIS01-A2 section 6.3): STX, number, text, ETX or ETB, checksum, CR LF."""

from __future__ import annotations

from collections.abc import Sequence

from simulators.astm.dialect import Dialect, Framing

__all__ = ["ACK", "ENQ", "EOT", "ETB", "ETX", "NAK", "STX", "checksum", "frame", "frames"]

STX, ETX, EOT, ENQ, ACK, NAK, ETB = b"\x02", b"\x03", b"\x04", b"\x05", b"\x06", b"\x15", b"\x17"
_TRAILERS = {"crlf": b"\r\n", "lf": b"\n"}


def frames(records: Sequence[bytes], dialect: Dialect) -> tuple[bytes, ...]:
    """Cut the records of one message into its frames, numbered 1 to 7, then 0, then 1 again.

    Args:
        records: each with its closing CR.
        dialect: says where to cut.
    """
    texts = list(records) if dialect.framing is Framing.RECORD else [b"".join(records)]
    limit = None if dialect.framing is Framing.MESSAGE else dialect.text_limit
    found: list[bytes] = []
    for text in texts:
        whole = text if dialect.carriage_return else text.removesuffix(b"\r")
        step = limit or len(whole)
        parts = [whole[start : start + step] for start in range(0, len(whole), step)]
        for part in parts[:-1]:
            found.append(frame(len(found) + 1, part, ETB, dialect.trailer))
        found.append(frame(len(found) + 1, parts[-1], ETX, dialect.trailer))
    return tuple(found)


def frame(number: int, text: bytes, end: bytes, trailer: str = "crlf") -> bytes:
    """One frame; its digit is `number` modulo 8."""
    summed = b"%d" % (number % 8) + text + end
    return STX + summed + checksum(summed) + _TRAILERS[trailer]


def checksum(summed: bytes) -> bytes:
    """Two upper-case hexadecimal digits: the sum modulo 256 of everything after STX up to ETX or ETB included."""
    return b"%02X" % (sum(summed) % 256)
