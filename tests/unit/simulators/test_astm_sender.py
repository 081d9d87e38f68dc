from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.astm.dialect import Timers
from simulators.astm.sender import Abandoned, Action, Delivered, Message, Sender, Transmit

ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
MESSAGE = Message(tests=(), frames=(b"\x021H|\\^&\r\x03E5\r\n", b"\x022L|1|N\r\x0305\r\n"))
FIRST, LAST = (Transmit(octets, is_frame=True) for octets in MESSAGE.frames)


def offered(sender: Sender) -> Sender:
    assert sender.offer(MESSAGE, 0.0) == [Transmit(ENQ)]
    return sender


def test_a_message_goes_out_frame_by_frame_and_is_delivered_before_eot_leaves() -> None:
    sender = offered(Sender(Timers()))
    assert sender.receive(ACK, 0.1) == [FIRST]
    assert sender.receive(ACK, 0.2) == [LAST]
    assert sender.receive(ACK, 0.3) == [Delivered(MESSAGE), Transmit(EOT)]
    assert sender.idle
    assert sender.deadline_s is None


def test_a_refused_frame_is_sent_six_times_in_all_and_then_given_up() -> None:
    sender = offered(Sender(Timers()))
    sender.receive(ACK, 0.0)
    for _ in range(5):
        assert sender.receive(NAK, 0.0) == [FIRST]
    assert sender.receive(NAK, 0.0) == [Transmit(EOT), Abandoned(MESSAGE, "frame 1 refused 6 times")]
    assert sender.idle


def test_the_count_of_tries_starts_again_with_each_frame() -> None:
    sender = offered(Sender(Timers()))
    sender.receive(ACK, 0.0)
    for _ in range(5):
        sender.receive(NAK, 0.0)
    assert sender.receive(ACK, 0.0) == [LAST]
    for _ in range(5):
        assert sender.receive(NAK, 0.0) == [LAST]
    assert sender.receive(ACK, 0.0) == [Delivered(MESSAGE), Transmit(EOT)]


@given(st.binary(min_size=1, max_size=1).filter(lambda octet: octet not in (ACK, EOT)))
def test_anything_but_ack_and_eot_repeats_the_frame(octet: bytes) -> None:
    sender = offered(Sender(Timers()))
    sender.receive(ACK, 0.0)
    assert sender.receive(octet, 0.0) == [FIRST]


def test_eot_instead_of_ack_acknowledges_too() -> None:
    sender = offered(Sender(Timers()))
    sender.receive(ACK, 0.0)
    assert sender.receive(EOT, 0.0) == [LAST]


def test_no_answer_to_enq_ends_after_15_s_and_the_scale_shortens_that() -> None:
    sender = offered(Sender(Timers()))
    assert sender.tick(14.9) == []
    assert sender.tick(15.0) == [Transmit(EOT), Abandoned(MESSAGE, "no reply within 15 s")]
    quick = offered(Sender(Timers(scale=0.01).scaled()))
    assert quick.deadline_s == pytest.approx(0.15)


def test_no_answer_to_a_frame_ends_after_15_s_counted_from_that_frame() -> None:
    sender = offered(Sender(Timers()))
    sender.receive(ACK, 10.0)
    assert sender.tick(24.9) == []
    assert sender.tick(25.0) == [Transmit(EOT), Abandoned(MESSAGE, "no reply within 15 s")]


def test_a_pause_before_the_octets_leave_postpones_the_deadline() -> None:
    sender = offered(Sender(Timers()))
    sender.postpone(20.0)
    assert sender.tick(34.9) == []
    assert len(sender.tick(35.0)) == 2


def test_a_busy_host_is_asked_again_after_10_s() -> None:
    sender = offered(Sender(Timers()))
    assert sender.receive(NAK, 1.0) == []
    assert sender.receive(ACK, 2.0) == []
    assert sender.tick(10.9) == []
    assert sender.tick(11.0) == [Transmit(ENQ)]
    assert sender.receive(ACK, 11.1) == [FIRST]


def test_in_contention_the_instrument_wins_by_asking_again_after_1_s() -> None:
    sender = offered(Sender(Timers()))
    assert sender.receive(ENQ, 1.0) == []
    assert sender.tick(1.9) == []
    assert sender.tick(2.0) == [Transmit(ENQ)]
    assert sender.receive(ACK, 2.1) == [FIRST]


def test_an_idle_instrument_takes_no_orders() -> None:
    assert Sender(Timers()).receive(b"\x00" + ENQ, 0.0) == [Transmit(NAK)]


def test_a_reply_that_came_before_its_frame_answers_nothing() -> None:
    sender = offered(Sender(Timers()))
    assert sender.receive(ACK + ACK + ACK, 0.0) == [FIRST]
    assert sender.receive(ACK, 0.1) == [LAST]


def test_noise_before_the_answer_to_enq_is_skipped() -> None:
    assert offered(Sender(Timers())).receive(b"\x00\x7f" + ACK, 0.0) == [FIRST]


def test_a_lost_connection_starts_the_message_anew() -> None:
    sender = offered(Sender(Timers()))
    sender.receive(ACK, 0.0)
    sender.receive(ACK, 0.0)
    assert sender.lost() == [Abandoned(MESSAGE, "connection lost")]
    assert sender.unfinished is None
    offered(sender)
    assert sender.receive(ACK, 0.0) == [FIRST]


def test_with_resume_it_goes_on_with_the_first_unacknowledged_frame() -> None:
    sender = offered(Sender(Timers(), resume=True))
    sender.receive(ACK, 0.0)
    sender.receive(ACK, 0.0)  # the first frame; the second is on the wire when the cable is pulled
    assert sender.lost() == [Abandoned(MESSAGE, "connection lost")]
    assert sender.lost() == []
    assert sender.unfinished is MESSAGE
    offered(sender)
    assert sender.receive(ACK, 0.0) == [LAST]
    assert sender.receive(ACK, 0.0) == [Delivered(MESSAGE), Transmit(EOT)]
    assert sender.unfinished is None


def test_with_resume_a_message_given_up_for_silence_still_starts_anew() -> None:
    sender = offered(Sender(Timers(), resume=True))
    sender.receive(ACK, 0.0)
    sender.receive(ACK, 0.0)
    sender.tick(15.0)
    assert sender.unfinished is None


def test_without_establishment_frames_go_out_bare() -> None:
    sender = Sender(Timers(), establishment=False)
    assert sender.offer(MESSAGE, 0.0) == [FIRST]
    assert sender.receive(ACK, 0.0) == [LAST]
    assert sender.receive(ACK, 0.0) == [Delivered(MESSAGE)]


def test_two_messages_at_once_are_refused() -> None:
    sender = offered(Sender(Timers()))
    with pytest.raises(RuntimeError, match="offer the next one when the sender is idle"):
        sender.offer(MESSAGE, 0.0)


REPLIES = st.sampled_from([ACK, ACK, ACK, NAK, ENQ, EOT, b"", b"\x00", NAK + ACK]) | st.binary(max_size=3)


@given(st.lists(st.tuples(REPLIES, st.sampled_from([0.1, 1.0, 15.0])), max_size=60), st.booleans(), st.booleans())
def test_whatever_a_host_says_delivery_is_claimed_only_after_an_answer_to_each_frame(
    replies: list[tuple[bytes, float]], establishment: bool, resume: bool
) -> None:
    sender = Sender(Timers(), establishment=establishment, resume=resume)
    now_s, answered = 0.0, 0
    waiting = False
    pending: list[Action] = sender.offer(MESSAGE, now_s)
    for octets, pause_s in replies:
        for action in pending:
            if isinstance(action, Transmit) and action.is_frame:
                waiting = True
            assert not isinstance(action, Delivered) or answered >= len(MESSAGE.frames)
            if isinstance(action, Abandoned):
                answered = 0
        if sender.idle:
            waiting, answered = False, 0
            pending = sender.offer(MESSAGE, now_s)
            continue
        now_s += pause_s
        if waiting and octets[:1] in (ACK, EOT):
            answered += 1
        pending = [*sender.receive(octets, now_s), *sender.tick(now_s)]
