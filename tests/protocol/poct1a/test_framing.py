from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import FramingReason
from drivers.protocols.poct1a.framing import Damaged, Document, Framing
from tests.protocol.poct1a.made import document, hello, observation

TOKENS = [
    *(b"<HEL.R01>", b"</HEL.R01>", b"<OBS.R01 a='1'>", b"</OBS.R01 >", b"<OBS.R01/>", b"<?xml version='1.0'?>"),
    *(b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<!DOCTYPE HEL.R01 [", b"]>", b"<?", b"?>", b"<a ", b"/>", b"</a>"),
    *(b"<OBS.R01>", b"</OBS.R01>", b"<OBS.R01><HDR/></OBS.R01>", b"<?xml version='1.0'?>\n<HEL.R01>a</HEL.R01>"),
    *(b"<", b">", b"</", b'"', b"x", b" ", b"\r\n", b"\x0b", b"\x1c\r", b"\x00\xff", b"\xef\xbb\xbf", b"<HDR>"),
]
STREAMS = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=3), max_size=60).map(b"".join)


def found(octets: bytes, sizes: Iterable[int] = (), limit: int = 262_144) -> list[Document | Damaged]:
    framing = Framing(limit)
    items: list[Document | Damaged] = []
    at = 0
    for size in (*sizes, len(octets)):
        framing.feed(octets[at : at + size])
        at += size
        while (item := framing.take()) is not None:
            items.append(item)
    return [*items, *framing.finish()]


def plain(items: Iterable[Document | Damaged]) -> list[tuple[object, ...]]:
    return [
        (item.octets, item.offset, item.wrapped)
        if isinstance(item, Document)
        else (item.octets, str(item.error), item.is_document)
        for item in items
    ]


@settings(max_examples=300, deadline=None)
@given(octets=STREAMS, sizes=st.lists(st.integers(1, 9), max_size=60), limit=st.sampled_from([20, 70, 262_144]))
def test_every_chunking_finds_the_same(octets: bytes, sizes: list[int], limit: int) -> None:
    whole = plain(found(octets, limit=limit))
    assert plain(found(octets, [1] * len(octets), limit)) == whole
    assert plain(found(octets, sizes, limit)) == whole


@settings(max_examples=200, deadline=None)
@given(octets=STREAMS)
def test_no_octet_is_invented_and_the_next_good_document_is_found(octets: bytes) -> None:
    good = hello()
    items = found(octets + b"]]>-->?>" + good)
    assert all(item.octets in octets + b"]]>-->?>" + good for item in items)
    if b"\x0b" not in octets and b"<!" not in octets:
        assert items[-1].octets.endswith(good)


def test_documents_of_one_segment_come_one_by_one_without_what_is_between() -> None:
    first, second, third = hello(), b'<?xml version="1.0"?>\r\n' + observation(), document("EOT.R01")
    items = found(b"\xef\xbb\xbf" + first + b"\r\n \n" + second + third + b"\n")
    assert [item.octets for item in items] == [first, second, third]
    second_at = 3 + len(first) + 4
    offsets = [item.offset for item in items if isinstance(item, Document)]
    assert offsets == [3, second_at, second_at + len(second)]


def test_wrapped_documents_lose_their_wrapper_and_say_so() -> None:
    octets = b"\x0b" + hello() + b"\x1c\r\x0b\r\n" + observation() + b"\x1c\r" + document("EOT.R01")
    items = found(octets, [1] * len(octets))
    assert [(item.octets.strip(), item.wrapped) for item in items if isinstance(item, Document)] == [
        (hello(), True),
        (observation(), True),
        (document("EOT.R01"), False),
    ]


def test_a_wrapped_document_is_whole_even_if_its_root_never_ends() -> None:
    (item,) = found(b"\x0b<OBS.R01><SVC></OBS\x1c\r")
    assert isinstance(item, Document)
    assert item.octets == b"<OBS.R01><SVC></OBS"


@pytest.mark.parametrize(
    "inside",
    [
        b"<!-- </OBS.R01> -->",
        b"<![CDATA[</OBS.R01>]]>",
        b"<?note </OBS.R01> ?>",
        b"</OBS.R01x>",
        b'<a V="]]> -->"/>',
    ],
)
def test_only_the_end_of_the_root_ends_a_document(inside: bytes) -> None:
    octets = b"<OBS.R01>" + inside + b"</OBS.R01\n>"
    (item,) = found(octets)
    assert item.octets == octets


def test_a_document_type_does_not_hide_the_end() -> None:
    octets = b'<!DOCTYPE OBS.R01 [<!ENTITY a "<x>">]><OBS.R01>&a;</OBS.R01>'
    items = found(octets + hello())
    assert [item.octets for item in items] == [octets, hello()]


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_meter_that_was_interrupted_and_begins_anew_is_heard(cut: int) -> None:
    first = observation()
    items = found(first[:cut] + hello())
    assert [item.octets for item in items] == [first[:cut], hello()]
    damaged = items[0]
    assert isinstance(damaged, Damaged)
    assert damaged.error.offset == 0


@pytest.mark.parametrize(
    "rubbish", [b"\x00\x01<<>>", b"</OBS.R01>", b"HTTP/1.1 200", b"< HEL.R01>", bytes(range(11))]
)
def test_rubbish_is_shown_and_skipped(rubbish: bytes) -> None:
    damaged, good = found(rubbish + hello())
    assert damaged.octets == rubbish.lstrip(b" \t\r\n")
    assert isinstance(damaged, Damaged)
    assert not damaged.is_document
    assert good.octets == hello()


def test_a_long_document_is_shown_by_its_first_octets_and_skipped_in_bounded_memory() -> None:
    framing = Framing(10_000)
    framing.feed(b"<OBS.R01>")
    chunk = b"<NTE.text V='" + b"x" * 50_000 + b"'/>"
    tracemalloc.start()
    for _ in range(200):
        framing.feed(chunk)
        assert framing.take() is None
        assert framing.held_octets < 10_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    framing.feed(b"</OBS.R01>" + hello())
    damaged, good = framing.take(), framing.take()
    assert isinstance(damaged, Damaged)
    assert damaged.error.reason is FramingReason.TOO_LONG
    assert "max_document_octets" in str(damaged.error)
    assert len(damaged.octets) == 10_000
    assert isinstance(good, Document)
    assert good.octets == hello()


def test_a_document_as_long_as_the_limit_passes() -> None:
    octets = hello()
    assert isinstance(found(octets, limit=len(octets))[0], Document)
    assert isinstance(found(octets, limit=len(octets) - 1)[0], Damaged)


def test_endless_rubbish_is_bounded() -> None:
    framing = Framing()
    for _ in range(300):
        framing.feed(b"rubbish " * 1000)
        assert framing.take() is None
    assert framing.held_octets < 1000
    (damaged,) = framing.finish()
    assert len(damaged.octets) == 4096


def test_vectors_are_found_whole(vector: Callable[[str], bytes]) -> None:
    names = ("hel_r01_nova", "dst_r01_nova", "obs_r01_nova", "obs_r02_qc_hemoscreen")
    octets = [vector(f"device_{name}.xml") for name in names]
    assert [item.octets for item in found(b"".join(octets))] == [one.strip() for one in octets]
