"""Any ASTM octets as plain structures, without a profile: what a person needs who meets an unknown meter.

Understood are captures of a link (with or without ENQ, EOT and the host's ACK and NAK), the text of records alone,
and such text with the frame number before each line. Every frame, record and field carries its offset, counted in
octets from the start of the input. ``octets`` is the text of the message's records in base64.
"""

from __future__ import annotations

import re
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from drivers.errors import DriverError, FramingError, FramingReason, ProtocolError, ProtocolReason
from drivers.protocols.astm.frames import Damage, Frame, FrameScanner
from drivers.protocols.astm.names import field_name
from drivers.protocols.astm.progress import Progress
from drivers.protocols.astm.records import Delimiters, Record, text_of

__all__ = ["messages"]

_CONTROLS = b"\x00\x04\x05\x06\x15\r\n"
_NUMBERED = re.compile(rb"[0-7](?=[A-Z](?![0-9A-Za-z]))")
_MAX_FRAME_OCTETS = 16_777_216


def messages(octets: bytes) -> Iterator[dict[str, Any]]:
    """Yield one structure for each message, in order.

    Raises:
        DriverError: at the first octet that is not ASTM; its offset counts from the start of `octets`. A damaged
            frame is no such place if the sender repeated it.
    """
    if not octets.strip(b" \t" + _CONTROLS):
        raise FramingError("there are no records in the input", FramingReason.UNEXPECTED, offset=len(octets))
    texts = _framed(octets) if b"\x02" in octets else _plain(octets)
    number = 0
    for text in texts:
        for message in _structured(text):
            number += 1
            yield {"message": number, **message}


class _Text:
    """The text of one message with the offsets of its parts in the input."""

    def __init__(self) -> None:
        self.octets = bytearray()
        self.frames: list[dict[str, Any]] = []
        self.damaged: list[dict[str, Any]] = []
        self._starts: list[int] = []
        self._offsets: list[int] = []

    def add(self, octets: bytes, offset: int) -> None:
        self._starts.append(len(self.octets))
        self._offsets.append(offset)
        self.octets += octets

    def offset_of(self, position: int) -> int:
        part = bisect_right(self._starts, position) - 1
        return self._offsets[part] + position - self._starts[part]


def _framed(octets: bytes) -> Iterator[_Text]:
    """Messages from a capture of a link, one `_Text` from header to last record."""
    scanner = FrameScanner(max_frame_octets=_MAX_FRAME_OCTETS, unpadded_checksum=True, ignored=b"\x00\x06\x15\r\n")
    scanner.feed(octets)
    progress, fresh = Progress(), True
    text = _Text()
    damage: Damage | None = None
    while (token := scanner.next() or scanner.settle()) is not None:
        if isinstance(token, Damage):
            damage = damage or token
            text.damaged.append({"offset": token.offset, "octets": len(token.octets), "reason": str(token.error)})
            if not (token.framed or token.ended):
                break
        elif isinstance(token, Frame):
            if progress.repeats(token, fresh=fresh):
                continue
            try:
                step = progress.step(token, fresh=fresh)
            except FramingError as error:
                raise _at(token.offset, damage.error if damage else error, damage) from None
            progress, fresh, damage = step.after, False, None
            if step.starts and text.octets:
                yield text
                text = _Text()
            text.frames.append(
                {
                    "offset": token.offset,
                    "number": token.number,
                    "octets": len(token.octets),
                    "last": token.last,
                    "checksum": token.octets[token.octets.rfind(b"\x03" if token.last else b"\x17") + 1 :].decode(),
                }
            )
            text.add(token.text, token.offset + 2)
            if token.last and not token.text.endswith(b"\r"):
                text.add(b"\r", token.offset + 2 + len(token.text))
            if step.ends:
                yield text
                text = _Text()
        else:
            fresh = fresh or token.value in ("enq", "eot")
    left = scanner.abandon()
    if text.octets:
        yield text
    damage = damage or (left[0] if left else None)
    if damage is not None:
        raise _at(damage.offset, damage.error, damage)


def _at(offset: int, error: DriverError, damage: Damage | None) -> FramingError:
    if damage is not None:
        offset = damage.offset
    return FramingError(str(error), FramingReason(error.reason), offset=offset + (error.offset or 0))


def _plain(octets: bytes) -> Iterator[_Text]:
    """Text of records, possibly with a frame number before each."""
    text = _Text()
    start = len(octets) - len(octets.lstrip(b" \t" + _CONTROLS))
    numbered = _NUMBERED.match(octets, start) is not None
    for line in re.finditer(rb"[^\r\n\x00\x04\x05\x06\x15]+", octets):
        skipped = 1 if numbered and _NUMBERED.match(line.group()) else 0
        text.add(line.group()[skipped:] + b"\r", line.start() + skipped)
    yield text


def _structured(text: _Text) -> Iterator[dict[str, Any]]:
    """The messages within a text: usually one, from H to L."""
    octets = bytes(text.octets)
    message: dict[str, Any] | None = None
    delimiters: Delimiters | None = None
    begin = 0
    for found in re.finditer(rb"[^\r\n]+", octets):
        line, offset = found.group(), text.offset_of(found.start())
        if line[:1] == b"H" and not line[1:2].isalnum():
            if message is not None:
                yield _closed(message, octets[begin : found.start()])
            begin = found.start()
            delimiters = Delimiters(text_of(line), offset)
            message = _new_message(text, offset, delimiters)
        elif message is None or delimiters is None:
            raise ProtocolError(
                "the message does not begin with a header record like H|\\^&",
                ProtocolReason.NO_HEADER,
                offset=offset,
            )
        record = _record(line, found.start(), text, delimiters)
        if record["type"] is None or message["complete"]:
            problem = "no record of E1394" if record["type"] is None else "a record after the last record (L)"
            yield _closed(message, octets[begin : found.start()])
            raise ProtocolError(problem, ProtocolReason.BAD_STRUCTURE, offset=offset)
        message["records"].append(record)
        message["complete"] = record["type"] == "L"
    if message is not None:
        yield _closed(message, octets[begin:])


def _closed(message: dict[str, Any], octets: bytes) -> dict[str, Any]:
    return {**message, "octets": b64encode(octets).decode()}


def _new_message(text: _Text, offset: int, delimiters: Delimiters) -> dict[str, Any]:
    return {
        "protocol": "astm",
        "offset": offset,
        "complete": False,
        "delimiters": {
            "field": delimiters.field,
            "repeat": delimiters.repeat,
            "component": delimiters.component,
            "escape": delimiters.escape or None,
        },
        "frames": text.frames,
        "damaged": text.damaged,
        "records": [],
    }


def _record(line: bytes, start: int, text: _Text, delimiters: Delimiters) -> dict[str, Any]:
    record = Record.parse(line, start, delimiters)
    kind = record.type if field_name(record.type, 1) else None
    encoding = "utf-8" if text_of(line).encode() == line else "latin-1"
    fields = []
    position = start
    for number, raw in enumerate(record.fields, 1):
        if raw and number > 1:
            fields.append(_field(record, number, raw, text.offset_of(position)))
        position += len(raw.encode(encoding)) + 1
    return {"type": kind, "offset": text.offset_of(start), "fields": fields}


def _field(record: Record, number: int, raw: str, offset: int) -> dict[str, Any]:
    delimiters = record.delimiters
    field: dict[str, Any] = {
        "place": f"{record.type}.{number}",
        "name": field_name(record.type, number),
        "offset": offset,
        "text": raw,
    }
    if record.type == "H" and number == 2:
        return field
    repeats = [
        [delimiters.unescape(part) for part in repeat.split(delimiters.component)]
        for repeat in raw.split(delimiters.repeat)
    ]
    if len(repeats) > 1:
        field["repeats"] = repeats
    elif len(repeats[0]) > 1:
        field["components"] = repeats[0]
    elif repeats[0][0] != raw:
        field["value"] = repeats[0][0]
    return field
