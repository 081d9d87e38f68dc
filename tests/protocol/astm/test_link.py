"""The E1381 receiver: every clause that a meter may rely on, and every way in which a line may betray it."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Finished, Piece, Rejected, Send
from drivers.errors import DeviceReason, FramingReason
from drivers.protocols.astm.link import AstmLink, LinkSettings
from tests.protocol.astm.framer import (
    ACK,
    ENQ,
    EOT,
    MESSAGE,
    NAK,
    Caller,
    bare,
    cut_frames,
    frame,
    frames,
    one_frame,
    sysmex_frames,
)

RECORD_FRAMES = frames(MESSAGE)
DIALECTS = {
    "one record per frame": ENQ + b"".join(RECORD_FRAMES) + EOT,
    "whole message in one frame": ENQ + one_frame() + EOT,
    "no CR before ETX": ENQ + b"".join(frames(MESSAGE, cr=b"")) + EOT,
    "cut at 40 octets with ETB": ENQ + b"".join(cut_frames(MESSAGE, 40)) + EOT,
    "cut at 1 octet with ETB": ENQ + b"".join(cut_frames(MESSAGE, 1)) + EOT,
    "no ENQ and EOT": b"".join(RECORD_FRAMES),
    "LF alone": ENQ + b"".join(frames(MESSAGE, trailer=b"\n")) + EOT,
    "CR alone": ENQ + b"".join(frames(MESSAGE, trailer=b"\r")) + EOT,
    "no trailer": ENQ + b"".join(frames(MESSAGE, trailer=b"")) + EOT,
    "two messages in one transfer": ENQ + b"".join(frames(MESSAGE * 2)) + EOT,
    "two messages, each numbered from 1": b"".join(RECORD_FRAMES * 2),
    "noise between frames": b"\x00zz" + ENQ + b"?".join(RECORD_FRAMES) + b"x" + EOT + b"late",
    "damaged, then repeated": ENQ + RECORD_FRAMES[0][:-4] + b"00\r\n" + b"".join(RECORD_FRAMES) + EOT,
    "a frame twice": ENQ + RECORD_FRAMES[0] * 2 + b"".join(RECORD_FRAMES[1:]) + EOT,
    "broken off, begun anew": ENQ + RECORD_FRAMES[0] + RECORD_FRAMES[1][:9] + ENQ + b"".join(RECORD_FRAMES) + EOT,
    "too long": ENQ + frame(1, b"H|\\^&" + b"x" * 700 + b"\r") + b"".join(RECORD_FRAMES) + EOT,
    "a frame that lost its STX": ENQ + RECORD_FRAMES[0][1:] + b"".join(RECORD_FRAMES) + EOT,
}
SHORT = LinkSettings(max_frame_octets=600)


def played(octets: bytes, *chunks: int) -> Caller:
    return Caller(AstmLink(SHORT)).feed(octets, *chunks).after(60)


@pytest.mark.parametrize("octets", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_brings_the_whole_message(octets: bytes) -> None:
    caller = played(octets)
    pieces = [event for event in caller.events if isinstance(event, Piece)]
    assert pieces[0].starts_message
    assert pieces[-1].ends_message
    texts = [piece[2:-3] + (b"\r" if piece[-3] == 3 and piece[-4:-3] != b"\r" else b"") for piece in caller.pieces]
    assert b"".join(texts).endswith(b"".join(record + b"\r" for record in MESSAGE))


@pytest.mark.parametrize("octets", DIALECTS.values(), ids=DIALECTS)
def test_one_octet_at_a_time_gives_the_same_events(octets: bytes) -> None:
    assert played(octets, *range(1, len(octets))).plain == played(octets).plain


@given(st.sampled_from(sorted(DIALECTS)), st.data())
def test_any_chunking_gives_the_same_events(dialect: str, data: st.DataObject) -> None:
    octets = DIALECTS[dialect]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(octets) - 1), max_size=12)))
    assert played(octets, *cuts).plain == played(octets).plain


@pytest.mark.parametrize("octets", [DIALECTS["one record per frame"], DIALECTS["cut at 40 octets with ETB"]])
def test_cut_at_every_octet_nothing_is_acknowledged_that_was_not_yielded_whole(octets: bytes) -> None:
    whole = played(octets).pieces
    for cut in range(len(octets)):
        caller = Caller(AstmLink()).feed(octets[:cut]).after(1).lost()
        assert caller.pieces == whole[: len(caller.pieces)]
        assert caller.sent.count(ACK) == (1 if cut else 0) + len(caller.pieces)
        assert caller.finished[-1].close
        shown = b"".join(caller.pieces) + b"".join(event.octets for event in caller.rejected)
        assert shown == re.sub(rb"\x05|\x04|(?<=[\x03\x17]..)\r\n?", b"", octets[:cut])
        if 0 < len(caller.pieces) < len(whole):
            assert caller.finished[-1].error is not None, "the message is open, and that is said"


def test_the_sysmex_frames_bring_one_message(shared: Path) -> None:
    framed = sysmex_frames(shared)
    caller = played(ENQ + b"".join(framed) + EOT)
    assert caller.pieces == [bare(one) for one in framed]
    assert caller.sent == ACK * (1 + len(framed))
    assert [event.ends_message for event in caller.events if isinstance(event, Piece)] == [False] * 13 + [True]


def test_the_afinion_octets_are_one_piece(shared: Path) -> None:
    octets = (shared / "vectors/astm/abbott_afinion2.astm.bin").read_bytes()
    caller = Caller(AstmLink()).feed(octets)
    assert caller.pieces == [bare(octets)]
    assert caller.sent == b"", "its CR LF may still come"
    assert caller.after(0.1).sent == ACK


def test_a_frame_without_trailer_is_whole_after_a_short_silence() -> None:
    octets = one_frame(trailer=b"")
    caller = Caller(AstmLink()).feed(octets)
    assert caller.pieces == []
    caller.after(0.2)
    assert caller.pieces == [octets]
    assert caller.sent == ACK


def test_an_answer_waits_for_the_line_feed() -> None:
    """Some senders do not listen before they have sent their last octet."""
    octets = one_frame()
    caller = Caller(AstmLink()).feed(octets[:-1])
    assert (caller.pieces, caller.sent) == ([bare(octets)], b"")
    assert caller.feed(octets[-1:]).sent == ACK


def test_nothing_is_acknowledged_before_confirm() -> None:
    session = AstmLink()
    events = session.receive(ENQ + RECORD_FRAMES[0] + RECORD_FRAMES[1], 0)
    assert events == [Send(ACK), Piece(bare(RECORD_FRAMES[0]), starts_message=True, ends_message=False)]
    assert session.tick(1000) == []
    assert session.deadline_s is None
    assert session.confirm(0) == [
        Send(ACK),
        Piece(bare(RECORD_FRAMES[1]), starts_message=False, ends_message=False),
    ]


def test_a_piece_that_cannot_be_committed_is_refused_and_may_come_again() -> None:
    caller = Caller(AstmLink(), refuse=[2]).feed(ENQ + RECORD_FRAMES[0] + RECORD_FRAMES[1])
    assert caller.sent == ACK + ACK + NAK
    caller.feed(b"".join(RECORD_FRAMES[1:]) + EOT)
    assert caller.sent == ACK + ACK + NAK + ACK * 7
    assert caller.pieces[-1] == bare(RECORD_FRAMES[-1])
    assert caller.finished == [Finished()]


def test_confirm_without_a_piece_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(RuntimeError, match="no piece"):
        AstmLink().confirm(0)


@pytest.mark.parametrize("place", range(1, len(bare(RECORD_FRAMES[3]))))
@pytest.mark.parametrize("damage", [0x80, 0x01, 0x00, 0x02, 0x03, 0x04, 0x05, 0x17, 0x0A], ids=hex)
def test_a_damaged_octet_never_leads_to_an_acknowledgement(place: int, damage: int) -> None:
    """A sender takes any ACK for the answer to its frame, so a damaged frame must not draw one."""
    good = RECORD_FRAMES[3]
    octet = good[place] ^ damage if damage in (0x80, 0x01) else damage
    if octet == good[place]:
        return
    damaged = good[:place] + bytes([octet]) + good[place + 1 :]
    caller = Caller(AstmLink()).feed(ENQ + b"".join(RECORD_FRAMES[:3]))
    before = len(caller.sent)
    # The sender's timer ends after 15 s without an answer.
    caller.feed(damaged).after(4)
    answer = caller.sent[before:]
    assert answer in (b"", NAK), "one refusal at most, or the next answer would be taken for another frame's"
    assert len(caller.pieces) == 3
    if answer == NAK:
        caller.feed(good).after(1)
        assert caller.sent[before:] == NAK + ACK
    else:
        caller.feed(EOT + ENQ + one_frame()).after(1)
    assert caller.sent.endswith(ACK)
    assert caller.rejected, "what was damaged is shown"


@pytest.mark.parametrize("place", range(1, len(bare(one_frame())), 7))
def test_an_enquiry_within_a_frame_without_establishment_draws_no_acknowledgement(place: int) -> None:
    good = one_frame()
    caller = Caller(AstmLink()).feed(good[:place] + ENQ + good[place + 1 :]).after(4)
    assert ACK not in caller.sent
    assert caller.pieces == []


def test_a_repeated_frame_is_acknowledged_and_not_new() -> None:
    caller = Caller(AstmLink()).feed(ENQ + RECORD_FRAMES[0] + RECORD_FRAMES[0] + RECORD_FRAMES[0])
    assert caller.sent == ACK * 4
    assert len(caller.pieces) == 1


def test_the_same_number_with_other_text_is_refused() -> None:
    caller = Caller(AstmLink()).feed(ENQ + RECORD_FRAMES[0] + frame(1, b"P|9\r"))
    assert caller.sent == ACK + ACK + NAK
    assert caller.rejected[0].error.reason is FramingReason.BAD_SEQUENCE
    assert caller.rejected[0].octets == bare(frame(1, b"P|9\r"))


@pytest.mark.parametrize("number", [0, 3, 4, 7])
def test_a_number_that_does_not_follow_is_refused(number: int) -> None:
    caller = Caller(AstmLink()).feed(ENQ + RECORD_FRAMES[0] + frame(number, b"P|1\r"))
    assert caller.sent[-1:] == NAK
    assert len(caller.pieces) == 1


def test_numbers_wrap_from_7_to_0() -> None:
    records = (*MESSAGE[:6], *[b"C|%d|I|text|G" % number for number in range(20)], MESSAGE[-1])
    caller = Caller(AstmLink()).feed(ENQ + b"".join(frames(records)) + EOT)
    assert len(caller.pieces) == len(records)
    assert caller.sent == ACK * (len(records) + 1)


@pytest.mark.parametrize(
    ("checksum", "settings", "answer"),
    [
        (b"5", LinkSettings(), NAK),
        (b"5", LinkSettings(unpadded_checksum=True), ACK),
        (b"6", LinkSettings(unpadded_checksum=True), NAK),
        (b"05", LinkSettings(unpadded_checksum=True), ACK),
        (b"", LinkSettings(unpadded_checksum=True), NAK),
        (b"G5", LinkSettings(), NAK),
        (b"0G", LinkSettings(), NAK),
        (b"55", LinkSettings(), NAK),
    ],
)
def test_checksums_are_strict_unless_the_profile_says_otherwise(
    checksum: bytes, settings: LinkSettings, answer: bytes
) -> None:
    filler = next(
        one for one in map(chr, range(33, 127)) if frame(1, b"H|\\^&||" + one.encode() + b"\r")[-4:-2] == b"05"
    )
    good = frame(1, b"H|\\^&||" + filler.encode() + b"\r")
    caller = Caller(AstmLink(settings)).feed(good[:-4] + checksum + b"\r\n")
    assert caller.after(0.1).sent == answer


def test_a_lower_case_checksum_proves_as_much() -> None:
    good = next(one for one in RECORD_FRAMES[1:] if one[-4:-2].lower() != one[-4:-2])
    number = RECORD_FRAMES.index(good)
    octets = b"".join(RECORD_FRAMES[:number]) + good[:-4] + good[-4:].lower()
    assert Caller(AstmLink()).feed(octets).sent == ACK * (number + 1)


class TestContention:
    """The instrument wins: the receiver never bids, so all it can do wrong is not to answer, or to answer twice."""

    def test_the_session_never_enquires(self) -> None:
        caller = Caller(AstmLink()).feed(DIALECTS["one record per frame"]).after(3600)
        assert ENQ not in caller.sent

    def test_an_enquiry_is_answered_at_once(self) -> None:
        assert Caller(AstmLink()).feed(ENQ).sent == ACK

    def test_an_enquiry_doubled_by_the_line_is_answered_once(self) -> None:
        caller = Caller(AstmLink()).feed(ENQ + ENQ)
        assert caller.after(0.5).sent == ACK
        assert caller.feed(RECORD_FRAMES[0]).sent == ACK + ACK

    def test_an_enquiry_within_a_transfer_is_not_answered(self) -> None:
        """It may be a damaged octet, and the sender would take the answer for that to its frame."""
        caller = Caller(AstmLink()).feed(ENQ + RECORD_FRAMES[0] + RECORD_FRAMES[1] + ENQ)
        assert caller.after(15).sent == ACK * 3

    def test_a_sender_that_began_anew_is_heard_after_its_end_of_transmission(self) -> None:
        caller = Caller(AstmLink()).feed(ENQ + RECORD_FRAMES[0] + RECORD_FRAMES[1] + ENQ).after(15)
        caller.feed(EOT + ENQ + b"".join(RECORD_FRAMES))
        assert caller.pieces[2:] == [bare(one) for one in RECORD_FRAMES]

    def test_a_sender_that_only_enquires_is_heard_after_thirty_seconds(self) -> None:
        caller = Caller(AstmLink()).feed(ENQ + RECORD_FRAMES[0])
        for _ in range(4):
            caller.after(10).feed(ENQ)
        assert caller.sent == ACK * 3

    def test_after_end_of_transmission_an_enquiry_is_answered_at_once(self) -> None:
        assert Caller(AstmLink()).feed(ENQ + EOT + ENQ).sent == ACK + ACK


class TestTimers:
    def test_thirty_seconds_without_a_frame_end_the_transfer(self) -> None:
        caller = Caller(AstmLink()).feed(ENQ + RECORD_FRAMES[0]).after(29.9)
        assert caller.finished == []
        caller.after(0.2)
        error = caller.finished[0].error
        assert error is not None
        assert error.reason is DeviceReason.GAVE_UP
        assert not caller.finished[0].close
        assert caller.feed(ENQ).sent[-1:] == ACK, "the session goes on"

    def test_half_a_frame_is_shown_when_the_time_is_over(self) -> None:
        caller = Caller(AstmLink()).feed(ENQ + RECORD_FRAMES[0][:20]).after(31)
        assert [event.octets for event in caller.rejected] == [RECORD_FRAMES[0][:20]]
        assert caller.rejected[0].error.reason is FramingReason.TRUNCATED
        assert caller.feed(EOT + ENQ + one_frame() + EOT).pieces == [bare(one_frame())]

    def test_a_slow_line_is_no_silence(self) -> None:
        caller = Caller(AstmLink()).feed(ENQ)
        for octet in RECORD_FRAMES[0]:
            caller.after(20).feed(bytes([octet]))
        assert caller.sent == ACK + ACK

    def test_after_a_whole_message_silence_is_no_error(self) -> None:
        assert Caller(AstmLink()).feed(b"".join(RECORD_FRAMES)).after(31).finished == [Finished()]

    def test_a_neutral_line_has_no_timer(self) -> None:
        assert AstmLink().deadline_s is None
        assert Caller(AstmLink()).feed(DIALECTS["one record per frame"]).session.deadline_s is None

    @pytest.mark.parametrize("answer", ["confirm", "refuse"])
    def test_a_late_answer_is_withheld(self, answer: str) -> None:
        """The sender gave up waiting; it would take the answer for that to what it sends next."""
        session = AstmLink()
        session.receive(ENQ + RECORD_FRAMES[0], 0)
        assert getattr(session, answer)(14.0) == []
        again = session.receive(RECORD_FRAMES[0], 15.0)
        if answer == "refuse":
            assert isinstance(again[0], Piece)
            again = session.confirm(15.0)
        assert again == [Send(ACK)]


class TestUnfinished:
    """A message that was open when the hub stopped or the connection broke."""

    OPEN: ClassVar = [bare(one) for one in RECORD_FRAMES[:4]]

    @pytest.mark.parametrize("establishment", [ENQ, b""])
    def test_the_sender_may_go_on_with_the_next_frame(self, establishment: bytes) -> None:
        caller = Caller(AstmLink(unfinished=self.OPEN)).feed(establishment + b"".join(RECORD_FRAMES[4:]))
        events = [event for event in caller.events if isinstance(event, Piece)]
        assert [event.octets for event in events] == [bare(one) for one in RECORD_FRAMES[4:]]
        assert not any(event.starts_message for event in events)
        assert events[-1].ends_message

    @pytest.mark.parametrize("establishment", [ENQ, b""])
    def test_the_sender_may_repeat_the_last_frame(self, establishment: bytes) -> None:
        caller = Caller(AstmLink(unfinished=self.OPEN)).feed(establishment + b"".join(RECORD_FRAMES[3:]))
        assert caller.pieces == [bare(one) for one in RECORD_FRAMES[4:]]
        assert caller.sent == ACK * (len(RECORD_FRAMES[3:]) + len(establishment))

    def test_the_sender_may_begin_anew(self) -> None:
        caller = Caller(AstmLink(unfinished=self.OPEN)).feed(ENQ + b"".join(RECORD_FRAMES))
        assert caller.pieces == [bare(one) for one in RECORD_FRAMES]
        first = next(event for event in caller.events if isinstance(event, Piece))
        assert first.starts_message

    def test_a_record_cut_by_etb_goes_on(self) -> None:
        cut = cut_frames(MESSAGE, 11)
        for place in range(1, len(cut)):
            pieces = [bare(one) for one in cut[:place]]
            caller = Caller(AstmLink(unfinished=pieces)).feed(ENQ + b"".join(cut[place:]))
            assert caller.pieces == [bare(one) for one in cut[place:]]
            last = [event for event in caller.events if isinstance(event, Piece)][-1]
            assert last.ends_message
            assert not last.starts_message

    def test_any_other_number_is_refused(self) -> None:
        caller = Caller(AstmLink(unfinished=self.OPEN)).feed(ENQ + RECORD_FRAMES[6])
        assert caller.sent == ACK + NAK

    def test_the_last_frame_of_a_whole_message_may_come_again(self) -> None:
        whole = [bare(one) for one in RECORD_FRAMES]
        caller = Caller(AstmLink(unfinished=whole)).feed(ENQ + RECORD_FRAMES[-1] + EOT)
        assert caller.pieces == []
        assert caller.sent == ACK + ACK

    def test_an_equal_message_is_a_new_message(self) -> None:
        """A meter without a clock may have measured the same again."""
        caller = Caller(AstmLink()).feed((ENQ + one_frame() + EOT) * 2)
        assert caller.pieces == [bare(one_frame())] * 2

    @pytest.mark.parametrize(
        "pieces", [[b"nothing"], [b""], [b"\x02"], [b"\x021H|\\^&\r\x0300"], [bare(RECORD_FRAMES[5])]]
    )
    def test_pieces_that_are_no_frames_do_no_harm(self, pieces: list[bytes]) -> None:
        caller = Caller(AstmLink(unfinished=pieces)).feed(ENQ + one_frame() + EOT)
        assert caller.pieces == [bare(one_frame())]


class TestMessageBounds:
    def test_end_of_transmission_without_last_record_leaves_the_message_open(self) -> None:
        caller = Caller(AstmLink()).feed(ENQ + b"".join(RECORD_FRAMES[:5]) + EOT)
        error = caller.finished[0].error
        assert error is not None
        assert error.reason is DeviceReason.GAVE_UP
        assert not any(event.ends_message for event in caller.events if isinstance(event, Piece))
        caller.feed(ENQ + b"".join(RECORD_FRAMES[5:]) + EOT)
        pieces = [event for event in caller.events if isinstance(event, Piece)]
        assert [event.starts_message for event in pieces] == [True] + [False] * 7
        assert pieces[-1].ends_message

    @pytest.mark.parametrize("size", range(1, 12))
    def test_a_last_record_split_by_etb_ends_the_message_where_it_is_complete(self, size: int) -> None:
        caller = Caller(AstmLink()).feed(ENQ + b"".join(cut_frames(MESSAGE, size)))
        ends = [event.ends_message for event in caller.events if isinstance(event, Piece)]
        assert ends.index(True) >= len(ends) - 1 - (1 if size == 1 else 0)
        assert ends.count(True) == 1

    def test_a_comment_that_looks_like_a_last_record_ends_nothing(self) -> None:
        caller = Caller(AstmLink()).feed(one_frame([MESSAGE[0], b"C|1|I|L|1|N|G", b"LOT|x"]))
        assert [event.ends_message for event in caller.events if isinstance(event, Piece)] == [False]

    def test_text_that_goes_on_and_looks_like_a_header_starts_nothing(self) -> None:
        octets = frame(1, b"H|\\^&|||A\rC|1|I|see ", end=b"\x17") + frame(2, b"H|2|\r")
        starts = [
            event.starts_message for event in Caller(AstmLink()).feed(octets).events if isinstance(event, Piece)
        ]
        assert starts == [True, False]

    def test_text_without_header_starts_a_message_that_can_only_be_quarantined(self) -> None:
        caller = Caller(AstmLink()).feed(ENQ + frame(1, b"R|1|^^^INR|2.5\r") + frame(2, b"L|1|N\r") + EOT)
        assert caller.plain[1][2:] == (True, False)
        assert caller.plain[3][2:] == (False, True)

    def test_two_messages_in_one_frame_are_one_piece_that_ends(self) -> None:
        caller = Caller(AstmLink()).feed(one_frame(MESSAGE * 2))
        assert [event.ends_message for event in caller.events if isinstance(event, Piece)] == [True]


class TestBadInput:
    def test_a_frame_of_10_mb_is_refused_in_bounded_memory_and_the_line_recovers(self) -> None:
        caller = Caller(AstmLink())
        chunk = b"x" * 65_536
        tracemalloc.start()
        caller.feed(ENQ + b"\x021")
        for _ in range(160):
            caller.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1_000_000
        caller.feed(b"\x0300\r\n" + one_frame() + EOT)
        assert caller.sent == ACK + NAK + ACK
        assert [event.error.reason for event in caller.rejected] == [FramingReason.TOO_LONG]
        assert len(caller.rejected[0].octets) <= 65_540
        assert caller.pieces == [bare(one_frame())]

    def test_the_limits_of_length_are_those_of_the_settings(self) -> None:
        text = b"H|\\^&" + b"x" * 295
        for limit, answer in ((300, ACK), (299, NAK)):
            caller = Caller(AstmLink(LinkSettings(max_frame_octets=limit))).feed(frame(1, text))
            assert caller.sent == answer

    def test_an_endless_message_is_refused(self) -> None:
        caller = Caller(AstmLink(LinkSettings(max_message_octets=2000)))
        caller.feed(ENQ + RECORD_FRAMES[0])
        for number in range(2, 30):
            caller.feed(frame(number, b"C|1|I|" + b"x" * 100 + b"\r"))
        assert caller.sent[-1:] == NAK
        assert sum(map(len, caller.pieces)) <= 2000
        assert caller.rejected[0].error.reason is FramingReason.TOO_LONG
        assert caller.feed(EOT + ENQ + one_frame()).pieces[-1] == bare(one_frame())

    def test_noise_is_shown_once_and_bounded(self) -> None:
        caller = Caller(AstmLink())
        for _ in range(1000):
            caller.feed(b"\xfe\x80\x98" * 100)
        caller.after(2)
        assert len(caller.rejected) == 1
        assert len(caller.rejected[0].octets) <= 1024
        assert "baud" in str(caller.rejected[0].error)
        assert caller.sent == b""
        assert caller.feed(ENQ + one_frame()).pieces == [bare(one_frame())]

    def test_blank_octets_between_frames_are_no_noise(self) -> None:
        assert Caller(AstmLink()).feed(b"\r\n\x00" + ENQ + b"\r\n" + one_frame() + b"\n\n" + EOT).rejected == []

    def test_a_sender_that_never_waits_is_bounded_while_nothing_is_committed(self) -> None:
        session = AstmLink(LinkSettings(max_frame_octets=1000))
        session.receive(ENQ + RECORD_FRAMES[0], 0)
        held = 0
        for _ in range(100):
            events = session.receive(b"y" * 1000, 0)
            held += sum(1000 - len(event.octets) for event in events if isinstance(event, Rejected)) or (not events)
        assert held <= 5

    @given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
    @settings(max_examples=300)
    def test_hostile_octets_never_raise_and_never_acknowledge_what_was_not_yielded(
        self, octets: bytes, cuts: list[int]
    ) -> None:
        chunks = sorted(cut for cut in cuts if cut <= len(octets))
        caller = Caller(AstmLink()).feed(octets, *chunks).after(40)
        assert caller.sent.count(ACK) <= octets.count(ENQ) + len(caller.pieces)
        caller.feed(EOT + ENQ + one_frame() + EOT).after(1)
        assert caller.pieces[-1] == bare(one_frame()), "the next good message passes"

    @given(
        st.lists(
            st.sampled_from([ENQ, EOT, ACK, NAK, b"\x02", b"\x03", b"\x17", b"1", b"H|", b"\r", b"\n", b"A0"]),
            max_size=60,
        )
    )
    @settings(max_examples=300)
    def test_control_characters_in_any_order_leave_a_line_that_works(self, parts: list[bytes]) -> None:
        octets = b"".join(parts)
        caller = Caller(AstmLink()).feed(octets).after(40)
        assert caller.plain == Caller(AstmLink()).feed(octets, *range(1, len(octets))).after(40).plain
        caller.feed(EOT + ENQ + one_frame() + EOT).after(1)
        assert caller.pieces[-1] == bare(one_frame())


def test_after_a_loss_nothing_is_sent() -> None:
    session = AstmLink()
    session.receive(ENQ + RECORD_FRAMES[0], 0)
    events = session.lost(1)
    assert [type(event) for event in events] == [Rejected, Finished] or [type(event) for event in events] == [
        Finished
    ]
    assert session.confirm(2) == []
