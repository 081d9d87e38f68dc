"""Any POCT1-A2 octets as plain structures, without a profile: what a person needs who meets an unknown meter.

Offsets count in octets from the start of the input. ``octets`` (base64) is the document; before an observation
message the conversation's last HEL and DST, so that a driver can decode it alone.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

from drivers.errors import FramingError, FramingReason, ProtocolError, ProtocolReason
from drivers.protocols.poct1a.documents import Part, parse
from drivers.protocols.poct1a.framing import Damaged, Framing

__all__ = ["messages"]

_MAX_DOCUMENT_OCTETS: Final = 16_777_216


def messages(octets: bytes) -> Iterator[dict[str, Any]]:
    """Yield one structure for each document, in order.

    Raises:
        DriverError: at the first octet that is not POCT1-A; its offset counts from the start of `octets`.
    """
    framing = Framing(_MAX_DOCUMENT_OCTETS)
    framing.feed(octets)
    context: dict[str, bytes] = {}
    number = 0
    while (found := framing.take()) is not None:
        if isinstance(found, Damaged):
            raise found.error
        try:
            message = parse(found.octets)
        except ProtocolError as error:
            raise _moved(error, found.offset) from None
        if message.name == "HEL.R01":
            context = {message.name: found.octets}
        elif message.name == "DST.R01":
            context[message.name] = found.octets
        before = b"".join(context.values()) if message.name.startswith("OBS.") else b""
        number += 1
        yield {
            "message": number,
            "protocol": "poct1a",
            "offset": found.offset,
            "name": message.name,
            "control_id": message.control_id,
            "wrapped": found.wrapped,
            **_contents(message.root, found.offset),
            "octets": b64encode(before + found.octets).decode(),
        }
    left = framing.finish()
    if left:
        raise left[0].error
    if not number:
        raise FramingError("there is no document in the input", FramingReason.UNEXPECTED, offset=len(octets))


def _contents(part: Part, moved: int) -> dict[str, Any]:
    fields = [
        {
            "name": field.name,
            "offset": moved + field.offset,
            "attributes": dict(field.attributes),
            **({"text": field.text} if field.text else {}),
        }
        for field in part.fields
    ]
    objects = [
        {"name": inner.name, "offset": moved + inner.start, **_contents(inner, moved)} for inner in part.parts
    ]
    return {**({"fields": fields} if fields else {}), **({"objects": objects} if objects else {})}


def _moved(error: ProtocolError, by: int) -> ProtocolError:
    """The same error, counted from the start of the input."""
    offset = by + (error.offset or 0)
    _, _, why = str(error).partition(": ")
    return ProtocolError(f"octet {offset}: {why}", ProtocolReason(error.reason), offset=offset)
