"""Decoding without a profile: every field with its place and offset, and the first octet that is not ASTM."""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import DriverError, FramingReason, ProtocolReason
from drivers.protocols.astm.dump import messages
from tests.protocol.astm.framer import (
    ACK,
    ENQ,
    EOT,
    MESSAGE,
    NAK,
    bare,
    cut_frames,
    frame,
    frames,
    one_frame,
    sysmex_frames,
)

TEXT = b"".join(record + b"\r" for record in MESSAGE)


def fields(message: dict[str, Any]) -> dict[str, str]:
    return {
        f"{number} {field['place']}": field["text"]
        for number, record in enumerate(message["records"])
        for field in record["fields"]
    }


@pytest.mark.parametrize(
    "octets",
    [
        ENQ + b"".join(frames(MESSAGE)) + EOT,
        b"".join(frames(MESSAGE, trailer=b"\n")),
        ENQ + one_frame() + EOT,
        one_frame(trailer=b""),
        ENQ + b"".join(cut_frames(MESSAGE, 17)) + EOT,
        ENQ + ACK + b"".join(one + ACK for one in frames(MESSAGE)) + EOT,
        ENQ + frames(MESSAGE)[0] * 2 + b"".join(frames(MESSAGE)[1:]) + EOT,
        TEXT,
        TEXT.replace(b"\r", b"\r\n"),
        TEXT.replace(b"\r", b"\n"),
        b"".join(b"%d%s\n" % (number % 8, record) for number, record in enumerate(MESSAGE, 1)),
    ],
)
def test_every_form_of_capture_gives_every_field_at_its_offset(octets: bytes) -> None:
    (message,) = messages(octets)
    assert message["complete"]
    assert [record["type"] for record in message["records"]] == list("HPORRRCL")
    assert fields(message)["3 R.4"] == "2.5"
    assert base64.b64decode(message["octets"]) == TEXT
    if cut_frames(MESSAGE, 17)[1] in octets:
        return  # a field may be cut in two there
    for record in message["records"]:
        assert octets[record["offset"] :].startswith(record["type"].encode())
        for field in record["fields"]:
            assert octets[field["offset"] :].startswith(field["text"].encode())


def test_offsets_are_right_where_a_record_goes_on_in_the_next_frame() -> None:
    octets = b"".join(cut_frames(MESSAGE, 17))
    (message,) = messages(octets)
    for record in message["records"]:
        for field in record["fields"]:
            assert octets[field["offset"]] == ord(field["text"][0])


def test_the_sysmex_capture(shared: Path) -> None:
    as_listed = (shared / "vectors/astm/sysmex_cs2500_frames.txt").read_bytes()
    (framed,) = messages(ENQ + b"".join(sysmex_frames(shared)) + EOT)
    (listed,) = messages(as_listed)
    assert fields(framed) == fields(listed)
    assert fields(framed)["6 R.4"] == "  0.93"
    inr = framed["records"][6]["fields"][1]
    assert inr["name"] == "test_id"
    assert inr["components"][3:5] == ["043", "PT INN cal~INR"]
    assert [one["number"] for one in framed["frames"]] == [1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6]


def test_the_afinion_capture(shared: Path) -> None:
    octets = (shared / "vectors/astm/abbott_afinion2.astm.bin").read_bytes()
    (message,) = messages(octets)
    assert message["frames"] == [
        {"offset": 0, "number": 1, "octets": len(octets) - 1, "last": True, "checksum": "F2"}
    ]
    value = next(field for field in message["records"][3]["fields"] if field["name"] == "value")
    assert value == {"place": "R.4", "name": "value", "offset": octets.index(b"5.9"), "text": "5.9"}


def test_each_message_is_one_object() -> None:
    octets = (ENQ + one_frame() + EOT) * 3
    found = list(messages(octets))
    assert [message["message"] for message in found] == [1, 2, 3]
    assert found[2]["offset"] == octets.rindex(b"H|")


def test_a_damaged_frame_that_was_repeated_is_listed_and_no_error() -> None:
    good = frames(MESSAGE)
    damaged = good[2][:-4] + b"00\r\n"
    octets = ENQ + good[0] + good[1] + damaged + NAK + b"".join(good[2:]) + EOT
    (message,) = messages(octets)
    assert message["complete"]
    assert message["damaged"][0]["offset"] == octets.index(damaged)


def test_a_message_without_its_end_is_shown_as_incomplete() -> None:
    (message,) = messages(ENQ + b"".join(frames(MESSAGE[:4])) + EOT)
    assert not message["complete"]


def test_escapes_and_repetitions_are_shown_beside_the_text() -> None:
    (message,) = messages(b"H|\\^&\rC|1|I|a&F&b|G\rR|1||||||N\\H^2\r")
    assert message["records"][1]["fields"][2]["value"] == "a|b"
    assert message["records"][2]["fields"][1]["repeats"] == [["N"], ["H", "2"]]


@pytest.mark.parametrize(
    ("octets", "shown", "reason", "offset"),
    [
        (b"", 0, FramingReason.UNEXPECTED, 0),
        (b"\r\n", 0, FramingReason.UNEXPECTED, 2),
        (b"hello\n", 0, ProtocolReason.NO_HEADER, 0),
        (b"\x89PNG\r\n\x1a\n", 0, ProtocolReason.NO_HEADER, 0),
        (b"P|1|\r", 0, ProtocolReason.NO_HEADER, 0),
        (b"H|||\r", 0, ProtocolReason.BAD_STRUCTURE, 1),
        (TEXT + b"what\r", 1, ProtocolReason.BAD_STRUCTURE, len(TEXT)),
        (MESSAGE[0] + b"\rX|1\r", 1, ProtocolReason.BAD_STRUCTURE, len(MESSAGE[0]) + 1),
        (one_frame() + b"garbage", 1, FramingReason.UNEXPECTED, len(one_frame())),
        (b"garbage" + one_frame(), 0, FramingReason.UNEXPECTED, 0),
        (one_frame() + bare(one_frame())[:40], 1, FramingReason.TRUNCATED, len(one_frame()) + 40),
        (frames(MESSAGE)[0][:-4] + b"00\r\n", 0, FramingReason.CHECKSUM, len(frames(MESSAGE)[0]) - 4),
        (frames(MESSAGE)[0] + frames(MESSAGE)[2], 0, FramingReason.BAD_SEQUENCE, len(frames(MESSAGE)[0]) + 1),
        (frame(1, b"P|1\r"), 0, ProtocolReason.NO_HEADER, 2),
    ],
)
def test_the_first_octet_that_is_not_astm_is_named(octets: bytes, shown: int, reason: Any, offset: int) -> None:
    decoding = messages(octets)
    assert all(next(decoding)["records"] for _ in range(shown))
    with pytest.raises(DriverError) as raised:
        next(decoding)
    assert raised.value.reason is reason
    assert raised.value.offset == offset


@given(st.binary(max_size=300))
def test_hostile_octets_raise_nothing_but_driver_errors(octets: bytes) -> None:
    for prefix in (b"", b"H|\\^&\r", ENQ + frames(MESSAGE)[0]):
        with suppress(DriverError):
            for message in messages(prefix + octets):
                assert message["records"]
