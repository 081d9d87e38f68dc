"""One observation as the journal has it: the GATT frames of its segments behind those that say whose it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from drivers.errors import FramingError, FramingReason, ProtocolError
from drivers.protocols import gatt
from drivers.protocols.ghs import names
from drivers.protocols.ghs.observation import fits
from drivers.protocols.ghs.segments import OBSERVATIONS, Assembler, Whole
from drivers.protocols.ghs.times import ElapsedTime
from drivers.protocols.ieee11073.mder import malformed

__all__ = ["Message", "Received", "Surroundings", "frames", "read_message", "record_of"]

_NUMBER_OCTETS = 4


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a conversation told before its observations.

    Attributes:
        information: values of Device Information characteristics, by UUID.
        clock: Current Elapsed Time as it was read last.
        clock_piece: index of the piece that carried it.
        octets: the frames that told it.
    """

    link: gatt.Link | None
    information: dict[str, str]
    clock: ElapsedTime | None
    clock_piece: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """One observation that arrived whole.

    Attributes:
        uuid: of the characteristic: live or stored.
        number: its record number; live ones have none.
        body: the observation.
        octets: its frames.
    """

    uuid: str
    number: int | None
    body: bytes
    octets: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """What some pieces say."""

    surroundings: Surroundings
    observations: tuple[Received, ...]


def frames(octets: bytes) -> Iterator[tuple[gatt.Frame, bytes, int]]:
    """Whole frames with their octets and where they begin.

    Raises:
        FramingError: octets that are no frame, or only the beginning of one.
    """
    parser = gatt.Parser()
    place = 0
    for start in range(0, len(octets), gatt.MAX_VALUE_OCTETS):  # a parser holds little of what is not yet read
        parser.feed(octets[start : start + gatt.MAX_VALUE_OCTETS])
        while (frame := parser.next()) is not None:
            yield frame, parser.octets, place
            place += len(parser.octets)
    if place < len(octets):
        why = f"octet {place}: a frame that is cut off after {len(octets) - place} octets"
        raise FramingError(why, FramingReason.TRUNCATED, offset=place)


def record_of(whole: Whole) -> tuple[int, bytes]:
    """Record number and body of a stored observation.

    The number stands once, before the body. A sensor that repeats it in each segment is understood as well.

    Raises:
        ProtocolError: it is too short to have a number.
    """
    content = whole.content
    if len(content) < _NUMBER_OCTETS:
        raise malformed(f"a stored observation of {len(content)} octets has no record number", 0)
    number, body = content[:_NUMBER_OCTETS], content[_NUMBER_OCTETS:]
    repeated = len(whole.segments) > 1 and all(each[1:5] == number for each in whole.segments)
    if repeated and fits(body) is None:
        bare = b"".join(each[5:] for each in whole.segments)
        if fits(bare) is not None:
            body = bare
    return int.from_bytes(number, "little"), body


def read_message(pieces: Sequence[bytes]) -> Message:
    """Read the pieces of a message, contexts first.

    Raises:
        DriverError: they are no frames, or hold no whole observation.
    """
    contexts: list[tuple[int, bytes]] = []
    observations: list[Received] = []
    assemblers = {uuid: Assembler() for uuid in OBSERVATIONS}
    octets: dict[str, bytes] = dict.fromkeys(OBSERVATIONS, b"")
    for index, piece in enumerate(pieces):
        for frame, raw, _ in frames(piece):
            if not isinstance(frame, gatt.Notified):
                contexts.append((index, raw))
            elif frame.uuid in OBSERVATIONS:
                octets[frame.uuid] += raw
                for found in assemblers[frame.uuid].feed(frame.value):
                    if not isinstance(found, Whole):
                        raise found.error
                    observations.append(_received(frame.uuid, found, octets[frame.uuid]))
                    octets[frame.uuid] = b""
    if not observations:
        raise malformed("no whole observation in the message", 0)
    return Message(_surroundings(tuple(contexts)), tuple(observations))


def _received(uuid: str, whole: Whole, octets: bytes) -> Received:
    if uuid != names.STORED:
        return Received(uuid, None, whole.content, octets)
    try:
        number, body = record_of(whole)
    except ProtocolError:
        return Received(uuid, None, whole.content, octets)
    return Received(uuid, number, body, octets)


@lru_cache(maxsize=4)
def _surroundings(contexts: tuple[tuple[int, bytes], ...]) -> Surroundings:
    """Read once for all messages of a conversation. Args: contexts: frames, each with the index of its piece."""
    link: gatt.Link | None = None
    information: dict[str, str] = {}
    clock, clock_piece = None, 0
    for index, raw in contexts:
        for frame, _, _ in frames(raw):
            if isinstance(frame, gatt.Link):
                link = frame
            elif isinstance(frame, gatt.ReadDone) and frame.uuid in names.INFORMATION:
                information[frame.uuid] = text_of(frame.uuid, frame.value)
            elif isinstance(frame, gatt.ReadDone) and frame.uuid == names.ELAPSED_TIME:
                try:
                    clock, clock_piece = ElapsedTime.of(frame.value), index
                except ProtocolError:
                    clock = None  # a clock that cannot be read is no reason to lose a result
    return Surroundings(link, information, clock, clock_piece, b"".join(raw for _, raw in contexts))


def text_of(uuid: str, value: bytes) -> str:
    """A value of the Device Information service as text, without padding; System ID in hexadecimal digits."""
    if uuid == names.SYSTEM_ID:
        return value[::-1].hex().upper() if any(value) else ""
    return value.decode("utf-8", "replace").replace("\0", "").strip()
