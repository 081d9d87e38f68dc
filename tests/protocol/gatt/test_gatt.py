from __future__ import annotations

import json
import uuid as uuids
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import FramingError, FramingReason
from drivers.protocols.gatt import (
    MAX_VALUE_OCTETS,
    NO_UUID,
    Advertised,
    Characteristic,
    Disconnect,
    Failed,
    Frame,
    Link,
    Notified,
    Parser,
    Read,
    ReadDone,
    Service,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Write,
    WriteWithoutResponse,
    Written,
    encode,
    expanded,
)

RACP = expanded(0x2A52)
UUIDS = st.integers(0, 0xFFFF).map(expanded) | st.uuids().map(str)
VALUES = st.binary(max_size=40)
WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
CHARACTERISTICS = st.builds(Characteristic, UUIDS, st.lists(WORDS, max_size=3).map(tuple))
SERVICES = st.builds(Service, UUIDS, st.lists(CHARACTERISTICS, max_size=3).map(tuple))
FRAMES: st.SearchStrategy[Frame] = st.one_of(
    *(st.builds(kind, UUIDS) for kind in (Read, Subscribe, Unsubscribe, Written, Subscribed, Unsubscribed)),
    *(st.builds(kind, UUIDS, VALUES) for kind in (Write, WriteWithoutResponse, ReadDone, Notified, Advertised)),
    st.just(Disconnect()),
    st.builds(Failed, UUIDS, st.integers(0, 255), WORDS),
    st.builds(
        Link,
        WORDS,
        st.none() | WORDS,
        st.booleans(),
        st.integers(23, 517),
        st.lists(SERVICES, max_size=3).map(tuple),
    ),
)


def parsed(octets: bytes, sizes: Iterable[int] = ()) -> tuple[list[Frame], list[bytes], FramingError | None]:
    parser = Parser()
    frames: list[Frame] = []
    each: list[bytes] = []
    at = 0
    try:
        for size in (*sizes, len(octets)):
            parser.feed(octets[at : at + size])
            at += size
            while (frame := parser.next()) is not None:
                frames.append(frame)
                each.append(parser.octets)
    except FramingError as error:
        return frames, each, error
    return frames, each, None


def test_the_octets_stand_where_the_format_says() -> None:
    octets = encode(Write(RACP, b"\x07\x03\x01\x05\x00\x00\x00"))
    assert octets == (
        b"\x18\x00"  # 24 octets follow
        b"\x02"  # write with response
        b"\x00\x00\x2a\x52\x00\x00\x10\x00\x80\x00\x00\x80\x5f\x9b\x34\xfb"
        b"\x07\x03\x01\x05\x00\x00\x00"
    )
    assert encode(Disconnect()) == b"\x11\x00\x06" + bytes(16)
    assert encode(Failed(RACP, 0xFE, "write: busy"))[19:] == b"\xfewrite: busy"
    link = encode(Link("C0:00:00:00:00:01", "INR-1", bonded=True, mtu=247, services=()))
    assert link[2] == 0x81
    assert json.loads(link[19:])["bonded"] is True


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 30), max_size=40))
def test_any_chunking_gives_the_same_frames(frames: list[Frame], sizes: list[int]) -> None:
    octets = b"".join(map(encode, frames))
    got, each, error = parsed(octets, sizes)
    assert error is None
    assert got == frames
    assert b"".join(each) == octets


@given(st.lists(FRAMES, max_size=3), st.binary(max_size=60), st.lists(st.integers(0, 20), max_size=30))
def test_what_is_no_frame_is_an_error_at_its_place_or_waits(
    frames: list[Frame], noise: bytes, sizes: list[int]
) -> None:
    octets = b"".join(map(encode, frames)) + noise
    whole, parts = parsed(octets), parsed(octets, sizes)
    assert whole[:2] == parts[:2]
    assert str(whole[2]) == str(parts[2])
    if whole[2] is not None:
        assert whole[2].offset == sum(map(len, whole[1]))


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"\x10\x00", "16 octets"),
        (b"\xff\xff", "65535 octets"),
        (b"\x11\x00\x07", "0x07"),
        (b"\x12\x00\x01" + bytes(16) + b"x", "may not"),
        (b"\x11\x00\x87" + bytes(16), "error code"),
        (b"\x13\x00\x87" + bytes(16) + b"\x01\xff", "UTF-8"),
        (b"\x13\x00\x81" + bytes(16) + b"{}", "description"),
        (b"\x13\x00\x81" + bytes(16) + b"17", "description"),
    ],
)
def test_broken_frames_are_named(octets: bytes, says: str) -> None:
    _, _, error = parsed(encode(Read(RACP)) + octets)
    assert error is not None
    assert says in str(error)
    assert error.reason is FramingReason.UNEXPECTED
    assert error.offset == 19


def test_values_have_a_limit() -> None:
    frame = Notified(RACP, bytes(MAX_VALUE_OCTETS))
    assert parsed(encode(frame))[0] == [frame]
    with pytest.raises(ValueError, match="65000"):
        encode(Notified(RACP, bytes(MAX_VALUE_OCTETS + 1)))


def test_a_flood_that_nobody_takes_ends_the_connection() -> None:
    parser = Parser()
    frame = encode(Notified(RACP, bytes(MAX_VALUE_OCTETS)))

    def flood() -> None:
        for _ in range(20):
            parser.feed(frame)

    with pytest.raises(FramingError) as caught:
        flood()
    assert caught.value.reason is FramingReason.TOO_LONG


def test_the_rest_is_given_back() -> None:
    parser = Parser()
    parser.feed(encode(Read(RACP)) + b"\x20\x00\x02")
    assert parser.next() == Read(RACP)
    assert parser.next() is None
    assert parser.rest() == b"\x20\x00\x02"
    assert parser.rest() == b""


def test_uuids_are_written_in_one_way() -> None:
    assert expanded(0x2A52) == "00002a52-0000-1000-8000-00805f9b34fb"
    assert encode(Read(RACP.upper())) == encode(Read(RACP))
    assert parsed(encode(Read(str(uuids.UUID(int=5)).upper())))[0] == [Read(str(uuids.UUID(int=5)))]
    link = Link("a", None, bonded=False, mtu=23, services=(Service(NO_UUID, (Characteristic(RACP, ("write",)),)),))
    assert link.has(RACP)
    assert not link.has(expanded(0x2BDD))
