"""As much of HL7 v2 as a receiver needs to answer (v2.5.1 chapter 2, original acknowledgement mode)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["Header", "UnreadableError", "acknowledgement", "header"]


class UnreadableError(ValueError):
    """The octets are no HL7 v2 message; the text says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """The MSH fields that an answer mirrors, as octets."""

    separator: bytes = b"|"
    encoding: bytes = b"^~\\&"
    sending: tuple[bytes, bytes] = (b"", b"")
    receiving: tuple[bytes, bytes] = (b"", b"")
    message_type: bytes = b""
    control_id: bytes = b""
    processing_id: bytes = b"P"
    version: bytes = b"2.5.1"

    @property
    def trigger(self) -> bytes:
        """MSH-9.2, for example R01."""
        parts = self.message_type.split(self.encoding[:1])
        return parts[1] if len(parts) > 1 else b""


def header(message: bytes) -> Header:
    """Read the MSH segment.

    Raises:
        UnreadableError: there is none, or it has no message control id.
    """
    segment = message.split(b"\r", 1)[0]
    if not segment.startswith(b"MSH") or len(segment) < 8:
        raise UnreadableError("the message does not begin with an MSH segment")
    # MSH-1 is the separator itself, so that MSH-n stands at place n - 1.
    fields = segment.split(segment[3:4])
    fields += [b""] * (12 - len(fields))
    if not fields[9]:
        raise UnreadableError("MSH-10, the message control id, is empty")
    return Header(
        separator=segment[3:4],
        encoding=fields[1],
        sending=(fields[2], fields[3]),
        receiving=(fields[4], fields[5]),
        message_type=fields[8],
        control_id=fields[9],
        processing_id=fields[10] or b"P",
        version=fields[11] or b"2.5.1",
    )


def acknowledgement(
    to: Header, code: str, control_id: bytes, *, error: tuple[str, str] | None = None, words: str = ""
) -> bytes:
    """An ACK message.

    Args:
        to: the message that is answered.
        code: MSA-1 of table 0008: AA, AE, AR, CA, CE or CR.
        control_id: MSA-2.
        error: ERR-3 code of table 0357 and ERR-8 text.
        words: MSA-3.
    """
    separator, component = to.separator, to.encoding[:1]
    message_type = component.join([b"ACK", to.trigger, b"ACK"]) if to.trigger else b"ACK"
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000").encode()
    own_id = secrets.token_hex(8).encode()
    msh = [b"MSH", to.encoding, *to.receiving, *to.sending, now, b"", message_type, own_id]
    segments = [
        separator.join([*msh, to.processing_id, to.version]),
        separator.join([b"MSA", code.encode(), control_id, *([words.encode()] if words else [])]),
    ]
    if error is not None:
        number, text = (part.encode() for part in error)
        coded = component.join([number, text, b"HL70357"])
        segments.append(separator.join([b"ERR", b"", b"", coded, b"E", b"", b"", b"", text]))
    return b"".join(segment + b"\r" for segment in segments)
