"""Any octets of a Generic Health Sensor as plain structures, every field named.

Three forms are told apart:

* GATT frames, as captures of Bluetooth lines hold them: one structure for each frame; an observation is shown with
  its last segment;
* observations without anything around them, one after another;
* observations in segments (ATT values one after another), live, or stored behind a record number. Values have no
  length in front, so the segments of one observation must be of one size, the last excepted.

Offsets count from the start of the input. ``octets`` is what a driver can decode alone, in base64: frames, for
observations behind those that say whose they are.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from drivers.errors import FramingError, FramingReason, ProtocolError, ProtocolReason
from drivers.protocols import gatt
from drivers.protocols.ghs import names, shown
from drivers.protocols.ghs.message import frames, record_of
from drivers.protocols.ghs.observation import Length, read_observation
from drivers.protocols.ghs.segments import OBSERVATIONS, Assembler, Whole, framed

__all__ = ["messages"]

_FRAME_KINDS: Final = range(0x81, 0x89)
_FRAME_HEAD: Final = 19
_COUNTED_HEAD: Final = 3
_NUMBER_OCTETS: Final = 4
_FIRST: Final = 1
_LAST: Final = 2
_SEGMENT_OCTETS: Final = range(2, 513)
"""An attribute's value has at most 512 octets (Bluetooth Core, Vol 3 Part F clause 3.2.9)."""


class _Found(NamedTuple):
    """An observation in the input.

    Attributes:
        uuid: live or stored; None without segments.
        segments: where each begins, its header octet included, and its octets; without segments all of it.
    """

    uuid: str | None
    segments: tuple[tuple[int, bytes], ...]

    @property
    def place(self) -> int:
        """Where it begins."""
        return self.segments[0][0]

    @property
    def size(self) -> int:
        """Octets that it takes in the input."""
        return sum(len(octets) for _, octets in self.segments)


def messages(octets: bytes) -> Iterator[dict[str, Any]]:
    """Yield one structure for each observation or frame, in order.

    Raises:
        DriverError: at the first octet that does not fit; its offset counts from the start of `octets`.
    """
    if not octets:
        raise FramingError("octet 0: there is no observation in the input", FramingReason.UNEXPECTED, offset=0)
    if len(octets) > 2 and octets[2] in _FRAME_KINDS and octets[0] | octets[1] << 8 >= _FRAME_HEAD - 2:
        yield from _frames(octets)
        return
    for number, found in enumerate(_observations(octets), 1):
        yield {
            "message": number,
            "protocol": "ghs",
            "offset": found.place,
            "length": found.size,
            **_observation(found, b""),
        }


def _observation(found: _Found, before: bytes) -> dict[str, Any]:
    """Every field of an observation. Args: before: frames that say whose it is."""
    head: dict[str, Any] = {}
    uuid, number, body = found.uuid, b"", found.segments[0][1]
    if uuid is not None:
        head["characteristic"] = names.CHARACTERISTICS[uuid]
        head["segments"] = [_segment(place, octets) for place, octets in found.segments]
        try:
            whole = Whole(tuple(octets for _, octets in found.segments))
            body = whole.content
            if uuid == names.STORED:
                told, body = record_of(whole)
                head["record-number"] = told
                number = told.to_bytes(_NUMBER_OCTETS, "little")
        except ProtocolError as error:
            raise _moved(error, found, 0) from None
    try:
        observation = read_observation(body)
    except ProtocolError as error:
        raise _moved(error, found, len(number)) from None
    alone = before + framed(uuid or names.LIVE, number + body)
    return {**head, **shown.observation(observation), "octets": b64encode(alone).decode()}


def _segment(place: int, octets: bytes) -> dict[str, Any]:
    header = octets[0]
    return {
        "offset": place,
        "length": len(octets),
        "first": bool(header & _FIRST),
        "last": bool(header & _LAST),
        "counter": header >> 2,
    }


def _moved(error: ProtocolError, found: _Found, before: int) -> ProtocolError:
    """The same error, counted from the start of the input. Args: before: octets of the record number."""
    left = before + (error.offset or 0)
    header = 0 if found.uuid is None else 1
    offset = found.place + found.size
    for place, octets in found.segments:
        if left < len(octets) - header:
            offset = place + header + left
            break
        left -= len(octets) - header
    _, _, why = str(error).partition(": ")
    return ProtocolError(f"octet {offset}: {why}", ProtocolReason(error.reason), offset=offset)


# ---------------------------------------------------------------- GATT frames


def _frames(octets: bytes) -> Iterator[dict[str, Any]]:
    assemblers = {uuid: Assembler() for uuid in OBSERVATIONS}
    parts: dict[str, list[tuple[int, bytes]]] = {uuid: [] for uuid in OBSERVATIONS}
    before = b""
    for number, (frame, raw, place) in enumerate(frames(octets), 1):
        message = {"message": number, "protocol": "ghs", "offset": place, "length": len(raw)}
        message |= {"frame": type(frame).__name__}
        if isinstance(frame, gatt.Notified) and frame.uuid in OBSERVATIONS:
            message |= {"characteristic": names.CHARACTERISTICS[frame.uuid]}
            parts[frame.uuid].append((place + _FRAME_HEAD, frame.value))
            for found in assemblers[frame.uuid].feed(frame.value):
                if not isinstance(found, Whole):
                    offset = place + _FRAME_HEAD
                    raise FramingError(f"octet {offset}: {found.error}", FramingReason.BAD_SEQUENCE, offset=offset)
                observed = tuple(parts[frame.uuid][-len(found.segments) :])
                parts[frame.uuid].clear()
                message |= _observation(_Found(frame.uuid, observed), before)
        else:
            message |= _frame(frame, place)
            if isinstance(frame, gatt.Link) or (isinstance(frame, gatt.ReadDone) and frame.uuid in _CONTEXTS):
                before += raw
        yield {**message, **({} if "octets" in message else {"octets": b64encode(raw).decode()})}


_CONTEXTS: Final = frozenset({*names.INFORMATION, names.ELAPSED_TIME})


def _frame(frame: gatt.Frame, place: int) -> dict[str, Any]:
    if isinstance(frame, gatt.Link):
        services = [
            {
                "uuid": service.uuid,
                "characteristics": [
                    {"uuid": each.uuid, "name": names.CHARACTERISTICS.get(each.uuid), "properties": each.properties}
                    for each in service.characteristics
                ],
            }
            for service in frame.services
        ]
        return {
            "address": frame.address,
            "name": frame.name,
            "bonded": frame.bonded,
            "mtu": frame.mtu,
            "services": services,
        }
    if isinstance(frame, gatt.Disconnect):
        return {}
    named = {"uuid": frame.uuid, "characteristic": names.CHARACTERISTICS.get(frame.uuid)}
    base = place + _FRAME_HEAD
    match frame:
        case gatt.ReadDone() | gatt.Notified():
            return {**named, "value": shown.value_of(frame.uuid, frame.value, base)}
        case gatt.Advertised() if frame.uuid == names.SERVICE:
            return {**named, "value": shown.service_data(frame.value, base)}
        case gatt.Advertised() | gatt.Write() | gatt.WriteWithoutResponse():
            return {**named, "value": frame.value.hex()}
        case gatt.Failed():
            return {**named, "error": frame.code, "text": frame.text}
    return named


# ---------------------------------------------------------------- observations without frames


def _observations(octets: bytes) -> list[_Found]:
    """The input as a row of observations of one form, the simplest that fits.

    Raises:
        DriverError: none does; the error is of the form that the first octet speaks for.
    """
    for length in Length:
        for uuid in (None, names.LIVE, names.STORED):
            row = _row(octets, length, uuid)
            if row is not None:
                return row
    try:
        is_segment = octets[0] not in names.CLASSES and octets[0] & (_FIRST | _LAST) == _FIRST | _LAST
        read_observation(octets[1:] if is_segment else octets, 1 if is_segment else 0)
    except ProtocolError as error:
        if not is_segment and octets[0] not in names.CLASSES and octets[0] & _FIRST:
            why = "octet 0: the first segment of an observation whose other segments do not follow it in order"
            raise FramingError(why, FramingReason.BAD_SEQUENCE, offset=0) from error
        raise
    raise FramingError("octet 0: this is no observation", FramingReason.UNEXPECTED, offset=0)


def _row(octets: bytes, length: Length, uuid: str | None) -> list[_Found] | None:
    """The input as observations of one form that end with its last octet; None if it is none."""
    row: list[_Found] = []
    place = 0
    while place < len(octets):
        found = _bare(octets, place, length) if uuid is None else _segmented(octets, place, length, uuid)
        if found is None:
            return None
        row.append(found)
        place += found.size
    return row


def _told(octets: bytes, length: Length) -> int | None:
    """How many octets an observation has that begins so; None if none does."""
    if len(octets) < _COUNTED_HEAD or octets[0] not in names.CLASSES:
        return None
    told = octets[1] | octets[2] << 8
    size = told if length is Length.TOTAL else told + _COUNTED_HEAD
    return size if size > _COUNTED_HEAD else None


def _bare(octets: bytes, place: int, length: Length) -> _Found | None:
    size = _told(octets[place : place + _COUNTED_HEAD], length)
    if size is None or place + size > len(octets):
        return None
    return _Found(None, ((place, octets[place : place + size]),))


def _segmented(octets: bytes, place: int, length: Length, uuid: str) -> _Found | None:
    header = octets[place]
    if not header & _FIRST:
        return None
    sizes = (len(octets) - place,) if header & _LAST else _SEGMENT_OCTETS
    for size in sizes:
        found = _of_size(octets, place, size, length, uuid)
        if found is not None:
            return found
    return None


def _of_size(octets: bytes, place: int, size: int, length: Length, uuid: str) -> _Found | None:
    """The observation that begins there, if its segments are of this size, the last excepted."""
    segments: list[tuple[int, bytes]] = []
    counter = octets[place] >> 2
    content = b""
    start = place
    while start < len(octets):
        header = octets[start]
        if header >> 2 != (counter + len(segments)) % 64 or bool(header & _FIRST) != (not segments):
            return None
        segment = octets[start : start + size]
        content += segment[1:]
        if header & _LAST:
            before = _NUMBER_OCTETS if uuid == names.STORED else 0
            told = _told(content[before:], length)
            surplus = None if told is None else len(content) - before - told
            if surplus is None or not 0 <= surplus < len(segment) - 1:
                return None
            segments.append((start, segment[: len(segment) - surplus]))
            return _Found(uuid, tuple(segments))
        segments.append((start, segment))
        start += size
    return None
