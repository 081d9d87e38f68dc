"""The decoder's door: vectors, segments and captures, every field named; errors with their place."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import DriverError
from drivers.meters.ble_ghs import BleGhsDriver
from drivers.protocols.ghs.dump import messages
from gateway.cli.main import main
from tests.protocol.ghs import peer as p

FRAMES = b"".join(
    [
        p.link(),
        p.frame(0x88, 0x1840, bytes.fromhex("0112100102")),
        p.frame(0x82, p.SERIAL, b"SN123\0"),
        p.frame(0x82, p.FEATURES, b"\x01\x01" + struct.pack("<I", p.INR) + b"\x01\x12\x10\x02"),
        p.frame(0x82, p.ELAPSED, p.stamp() + b"\x01\x03"),
        p.frame(0x84, p.STORED),
        p.notified(p.STORED, *p.stored(17, p.inr(25))),
        p.notified(p.RACP, b"\x08\x00\x01\x00\x00\x00", b"\x06\x00\x07\x06"),
        p.notified(p.CONTROL, b"\x80"),
        p.frame(0x87, p.MODEL, b"\x0anone"),
    ]
)


def decode(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> tuple[int, list[dict[str, Any]], str]:
    status = main(["decode", "--protocol", "ghs", *words, str(path)])
    captured = capsys.readouterr()
    return status, [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_the_command_decodes_every_valid_vector_and_rejects_the_broken(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "vector.hex"
    for vector in json.loads((shared / "vectors" / "ble_ghs.json").read_text(encoding="utf-8")):
        path.write_text(vector["hex"])
        status, shown, errors = decode(capsys, path, "--hex")
        if vector["valid"]:
            assert (status, errors) == (0, "")
            (message,) = shown
            assert message["length"] == vector["octets"]
            assert message["class"]["code"] == int(vector["hex"][:2], 16)
        else:
            assert (status, shown) == (2, [])
            assert "offset 1: octet 1: the length says 151 octets" in errors


def test_every_field_is_named(shared: Path) -> None:
    vectors = json.loads((shared / "vectors" / "ble_ghs.json").read_text(encoding="utf-8"))
    (shown,) = messages(bytes.fromhex(vectors[0]["hex"]))
    assert shown["class"] == {"code": 1, "name": "numeric"}
    assert (shown["length-field"], shown["length-counts"]) == (27, "remainder")
    assert shown["flags"]["bits"] == "0063"
    assert shown["observation-type"] == {
        "code": 150456,
        "partition": 2,
        "term": 0x4BB8,
        "name": "MDC_PULS_OXIM_SAT_O2",
    }
    assert shown["time-stamp"]["local"] == "2021-11-20T11:50:10"
    assert shown["time-stamp"]["source"] == {"code": 6, "name": "cellular"}
    assert shown["patient"] == 1
    assert shown["supplemental-information"][0]["name"] == "MDC_MODALITY_SPOT"
    assert shown["value"] == {"unit": {"code": 0x220, "name": "MDC_DIM_PERCENT"}, "number": "98"}


def test_bodies_one_after_another() -> None:
    first, second = messages(p.inr(25) + p.inr(26, p.T0 + 1))
    assert (first["offset"], second["offset"]) == (0, 24)
    assert [each["value"]["number"] for each in (first, second)] == ["2.5", "2.6"]
    (total,) = messages(p.inr(25, total=True))
    assert total["length-counts"] == "total"


@pytest.mark.parametrize("size", [2, 3, 9, 20, 60])
@pytest.mark.parametrize("counter", [0, 1, 3, 63])
@pytest.mark.parametrize("number", [None, 1, 0x01020304])
def test_segments_one_after_another(size: int, counter: int, number: int | None) -> None:
    body = p.inr(25)
    content = body if number is None else struct.pack("<I", number) + body
    values = p.segments(content, size, counter)
    following = p.segments(content, size, counter + len(values))
    shown = list(messages(b"".join(values + following)))
    assert len(shown) == 2
    for each in shown:
        assert each["value"]["number"] == "2.5"
        assert [segment["length"] for segment in each["segments"]] == list(map(len, values))
        assert each.get("record-number") == number
        assert each["characteristic"].startswith("Live" if number is None else "Stored")


def test_a_capture_is_shown_frame_by_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ble.capture"
    lines = [f"2026-03-14T07:30:05Z < {FRAMES[start : start + 33].hex()}" for start in range(0, len(FRAMES), 33)]
    path.write_text("\n".join(["# inr-gateway capture 1", *lines, ""]))
    status, shown, _ = decode(capsys, path, "--profile", "ghs_inr")
    assert status == 0
    by_frame = {(each["frame"], each.get("characteristic")): each for each in shown}
    assert by_frame["Link", None]["mtu"] == 23
    assert by_frame["Advertised", "Generic Health Sensor"]["value"]["specializations"][0]["term"] == 0x1012
    assert by_frame["ReadDone", "Serial Number String"]["value"] == "SN123"
    assert by_frame["ReadDone", "Current Elapsed Time"]["value"]["status"]["set"] == ["needs-set"]
    features = by_frame["ReadDone", "Health Sensor Features"]["value"]
    assert features["specializations"][0]["version"] == 2
    answers = [each["value"] for each in shown if each.get("characteristic") == "Record Access Control Point"]
    assert answers[0] == {"answer": "combined-report", "count": 1}
    assert answers[1]["response"] == {"code": 6, "name": "no records"}
    assert by_frame["Failed", "Model Number String"]["error"] == 10
    observation = by_frame["Notified", "Stored Health Observations"]
    assert observation["record-number"] == 17
    (record,) = observation["decoded"]["items"]
    assert (record["inr"]["value"], record["record_number"]) == ("2.5", "17")
    assert observation["decoded"]["meter"]["serial"] == "SN123"


@pytest.mark.parametrize(
    ("octets", "offset"),
    [
        (b"", 0),
        (b"\x00", 0),
        (p.inr(25)[:-1], 1),
        (p.inr(25) + b"\x01\x02", 1),
        (b"\x03" + p.body(3, b"\x02\x00a\xff", None), 9),
        (b"".join(p.segments(b"\0\0\0\0" + p.body(3, b"\x02\x00a\xff", None), 6)), 15),
        (b"\x0b" + p.inr(25)[:-2], 2),
        (b"\x09" + p.inr(25)[:-2], 0),
        (FRAMES[:-3], len(FRAMES) - 24),
        (FRAMES + b"\x11\x00\x99", len(FRAMES)),
        (p.frame(0x82, p.ELAPSED, b"\0" * 9), 19),
        (p.notified(p.LIVE, *p.segments(p.inr(25), 9)[::2]), 47),
        (p.notified(p.LIVE, b"\x03" + p.inr(25)[:-1]), 21),
    ],
)
def test_errors_have_their_place(
    octets: bytes, offset: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "input"
    path.write_bytes(octets)
    status, _, errors = decode(capsys, path)
    assert status == 2
    assert errors.startswith(f"inr-gateway decode: {path}: offset {offset}: ")


def test_octets_can_be_decoded_alone() -> None:
    for octets in (p.inr(25), b"".join(p.stored(5, p.inr(25))), FRAMES):
        shown = [each for each in messages(octets) if "value" in each and "class" in each]
        assert shown
        for each in shown:
            assert BleGhsDriver({}).decode([base64.b64decode(each["octets"])]).items


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.binary(max_size=120), st.sampled_from([p.inr(25), b"".join(p.stored(5, p.inr(25))), FRAMES])),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=4),
)
def test_any_octets_are_shown_or_refused_with_a_place(octets: bytes, changes: list[tuple[int, int]]) -> None:
    altered = bytearray(octets)
    for place, value in changes if octets else ():
        altered[place % len(altered)] = value
    offset: int | None = 0
    try:
        json.dumps(list(messages(bytes(altered))))
    except DriverError as error:
        offset = error.offset
    assert offset is not None
    assert 0 <= offset <= len(octets)
