"""E1394 records: delimiters are data, escapes are undone, characters survive."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import FramingError, FramingReason, ProtocolError, ProtocolReason
from drivers.protocols.astm.message import Group, Stray, structure
from drivers.protocols.astm.paths import Condition, Place
from drivers.protocols.astm.records import Delimiters, Record, text_of
from tests.protocol.astm.framer import MESSAGE, bare, cut_frames, frames, one_frame

USUAL = Delimiters("H|\\^&|||X")


def record(text: str, delimiters: Delimiters = USUAL) -> Record:
    return Record.parse(text.encode(), 0, delimiters)


class TestFields:
    @pytest.mark.parametrize(
        ("text", "field", "component", "expected"),
        [
            ("R|1|^^^INR|2.5|INR", 1, 0, "R"),
            ("R|1|^^^INR|2.5|INR", 4, 0, "2.5"),
            ("R|1|^^^INR|2.5|INR", 3, 0, "^^^INR"),
            ("R|1|^^^INR|2.5|INR", 3, 4, "INR"),
            ("R|1|^^^INR|2.5|INR", 3, 1, ""),
            ("R|1|^^^INR|2.5|INR", 3, 5, ""),
            ("R|1|^^^INR|2.5|INR", 4, 1, "2.5"),
            ("R|1|^^^INR|2.5|INR", 4, 2, ""),
            ("R|1|^^^INR|2.5|INR", 9, 0, ""),
            ("R|1|^^^INR|  2.5 |INR", 4, 0, "2.5"),
            ("R|1|A\\B^C|2.5", 3, 0, "A"),
            ("R|1|A\\B^C|2.5", 3, 2, ""),
        ],
    )
    def test_parts_are_counted_from_1(self, text: str, field: int, component: int, expected: str) -> None:
        assert record(text).part(field, component) == expected

    def test_all_repetitions_are_there(self) -> None:
        assert record("R|1||||" + "|N\\ \\>&E&").repeats(7) == ["N", ">&"]
        assert record("R|1").repeats(7) == []

    @pytest.mark.parametrize(
        ("raw", "text"),
        [
            ("a&F&b", "a|b"),
            ("a&S&b", "a^b"),
            ("a&R&b", "a\\b"),
            ("a&E&b", "a&b"),
            ("&E&F&E&", "&F&"),
            ("a&X41C3A4&b", "aAäb"),
            ("a&XE4&b", "aäb"),
            ("a&b", "a&b"),
            ("AT&T and B&B", "AT&T and B&B"),
            ("&H&bold&N&", "&H&bold&N&"),
            ("&X4&", "&X4&"),
        ],
    )
    def test_escapes_are_undone_and_what_is_none_stays(self, raw: str, text: str) -> None:
        assert record(f"C|1|I|{raw}|G").part(4) == text

    @given(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=40))
    def test_what_a_sender_escaped_comes_back(self, text: str) -> None:
        escaped = text.replace("&", "&E&").replace("|", "&F&").replace("^", "&S&").replace("\\", "&R&")
        assert record(f"C|1|I|{escaped}|G").part(4) == text.strip()

    @given(st.text(max_size=30))
    def test_utf_8_and_latin_1_are_read(self, text: str) -> None:
        assert text_of(text.encode()) == text
        latin = "Prüfung Zürich".encode("latin-1")
        assert text_of(latin) == "Prüfung Zürich"


class TestDelimiters:
    def test_they_are_what_the_header_says(self) -> None:
        delimiters = Delimiters("H|@^\\|||ACME")
        assert (delimiters.field, delimiters.repeat, delimiters.component, delimiters.escape) == (
            "|",
            "@",
            "^",
            "\\",
        )
        assert record("C|1|I|a\\F\\b@c", delimiters).part(4) == "a|b"

    def test_an_escape_may_be_missing(self) -> None:
        assert record("C|1|I|a&F&b", Delimiters("H|\\^|||ACME")).part(4) == "a&F&b"

    @pytest.mark.parametrize("header", ["H", "H|", "H|^", "H||||", "H|^^&", "H|a^&", "H| ^&", "H|\\|&"])
    def test_unusable_ones_are_an_error(self, header: str) -> None:
        with pytest.raises(ProtocolError, match="delimiters") as raised:
            Delimiters(header, 7)
        assert (raised.value.reason, raised.value.offset) == (ProtocolReason.BAD_STRUCTURE, 8)


class TestStructure:
    TEXT = b"".join(one + b"\r" for one in MESSAGE)

    @pytest.mark.parametrize(
        "pieces",
        [
            frames(MESSAGE),
            frames(MESSAGE, cr=b""),
            [one_frame()],
            cut_frames(MESSAGE, 7),
            cut_frames(MESSAGE, 1),
            [TEXT],
            [TEXT.replace(b"\r", b"\n")],
            [TEXT.replace(b"\r", b"\r\n")],
            [TEXT[:50], TEXT[50:]],
        ],
    )
    def test_however_it_was_cut_it_is_one_test(self, pieces: list[bytes]) -> None:
        message = structure([bare(piece) if piece[:1] == b"\x02" else piece for piece in pieces])
        assert len(message.items) == 1
        group = message.items[0]
        assert isinstance(group, Group)
        assert group.octets == self.TEXT.removesuffix(b"L|1|N\r")
        assert [one.type for one in group.own] == ["O", "R", "R", "R", "C"]

    def test_the_piece_with_the_header_is_known(self) -> None:
        assert structure([b"\r", b"\n", self.TEXT]).header_piece == 2
        assert structure([bare(one) for one in cut_frames(MESSAGE, 3)]).header_piece == 0

    def test_comments_belong_to_what_they_follow(self) -> None:
        shared = b"H|\\^&\rC|1|I|of header\r"
        text = shared + b"P|1\rC|1|I|of patient\rO|1\rC|1|I|of order\rR|1\rO|2\rR|1\rP|2\rO|1\rR|1\rL|1\r"
        first, second, third = structure([text]).items
        assert first.octets == text[: text.index(b"O|2")]
        assert second.octets == text[: text.index(b"O|1")] + b"O|2\rR|1\r"
        assert third.octets == shared + b"P|2\rO|1\rR|1\r"

    def test_results_without_order_are_a_test(self) -> None:
        (group,) = structure([b"H|\\^&\rR|1\rR|2\rL|1\r"]).items
        assert isinstance(group, Group)
        assert group.order is None
        assert len(group.own) == 2

    @pytest.mark.parametrize("line", [b"Q|1|ALL", b"Z|1", b"R2|1", b"garbage", b"\xff\xfe"])
    def test_what_cannot_stand_there_is_kept_with_its_header(self, line: bytes) -> None:
        stray, group = structure([b"H|\\^&\r" + line + b"\rO|1\rR|1\rL|1\r"]).items
        assert isinstance(stray, Stray)
        assert isinstance(group, Group)
        assert stray.octets == b"H|\\^&\r" + line + b"\r"

    def test_a_record_after_the_last_is_kept_and_a_header_begins_anew(self) -> None:
        items = structure([b"H|\\^&\rO|1\rL|1\rR|9\rH|\\^&||2\rO|1\rL|1\r"]).items
        assert [type(item) for item in items] == [Group, Stray, Group]
        assert items[2].octets == b"H|\\^&||2\rO|1\r"

    @pytest.mark.parametrize(
        ("pieces", "reason", "offset"),
        [
            ([], ProtocolReason.NO_HEADER, 0),
            ([b""], ProtocolReason.NO_HEADER, 0),
            ([b"\r\n"], ProtocolReason.NO_HEADER, 0),
            ([b"\rP|1\rL|1\r"], ProtocolReason.NO_HEADER, 1),
            ([b"\xff" * 9], ProtocolReason.NO_HEADER, 0),
            ([bare(one) for one in frames(MESSAGE[:-1])], ProtocolReason.NO_END, 249),
            ([b"H|\\^&" + b"x" * 5000 + b"\r"], ProtocolReason.BAD_STRUCTURE, 0),
            ([b"H|\\^&\rC|" + b"x" * 5000 + b"\rO|1\r"], ProtocolReason.BAD_STRUCTURE, 6),
            ([b"H|\\^&\r" + b"C\r" * 100_000], ProtocolReason.BAD_STRUCTURE, None),
            ([b"H|\\^&\r" + b"O\r" * 10_001], ProtocolReason.BAD_STRUCTURE, None),
        ],
    )
    def test_what_is_no_message_is_an_error_with_its_place(
        self, pieces: list[bytes], reason: ProtocolReason, offset: int | None
    ) -> None:
        with pytest.raises(ProtocolError) as raised:
            structure(pieces)
        assert raised.value.reason is reason
        assert raised.value.offset == offset

    def test_a_damaged_piece_is_named_by_its_offset(self) -> None:
        good = [bare(one) for one in frames(MESSAGE)]
        with pytest.raises(FramingError) as raised:
            structure([good[0], good[1][:-1] + b"?", *good[2:]])
        assert raised.value.reason is FramingReason.CHECKSUM
        assert raised.value.offset == len(good[0]) + len(good[1]) - 2

    @pytest.mark.parametrize("piece", [b"\x02", b"\x021", bare(one_frame()) * 2, bare(one_frame()) + b"x"])
    def test_a_piece_that_is_not_one_frame_is_an_error(self, piece: bytes) -> None:
        with pytest.raises(FramingError):
            structure([piece])


class TestPlaces:
    RECORDS: ClassVar = {
        "H": [record("H|\\^&|||A^B^S7")],
        "C": [record("C|1|I|LOT^050^APTT^562461"), record("C|2|I|LOT^040^PT^564636"), record("C|3|I|see")],
    }

    @pytest.mark.parametrize(
        ("place", "text"),
        [
            ("H.5.3", "S7"),
            ("H.5", "A^B^S7"),
            ("H.14", ""),
            ("C.4.4", "562461"),
            ("C.4.4 where C.4.1=LOT and C.4.2=040", "564636"),
            ("C.4.4 where C.4.3=P*", "564636"),
            ("C.4.4 where C.4.3=*T", "562461"),
            ("C.4 where C.2=3", "see"),
            ("C.4.4 where C.4.1=CAL", ""),
            ("R.4", ""),
            ("=Acme", "Acme"),
        ],
    )
    def test_a_place_is_found(self, place: str, text: str) -> None:
        assert Place.parse(place).find(self.RECORDS)[0] == text

    @pytest.mark.parametrize(
        "text",
        ["", "H", "H.0", "H.5.0", "X.4", "H5", "H.5.3.1", "C.4 where", "C.4 where C.4", "C.4 where H.5=x", "H.100"],
    )
    def test_what_is_no_place_is_an_error_that_shows_one(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"write|condition"):
            Place.parse(text)

    def test_conditions_must_be_about_one_record(self) -> None:
        with pytest.raises(ValueError, match="different records"):
            Condition.parse("C.4=x and O.12=Q")

    def test_a_star_is_the_only_wild_character(self) -> None:
        assert Condition.parse("C.4.4=56[2]*").met_in(self.RECORDS) is False
        assert Condition.parse("C.4.4=562*").met_in(self.RECORDS)
