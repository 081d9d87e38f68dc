"""When a reading is published again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.hub.outstanding import PROBES, STUCK_AFTER, Outstanding


def outstanding(window: int = 100) -> Outstanding:
    return Outstanding(window, 10.0, 100.0, jitter=lambda low, high: (low + high) / 2)


def test_the_wait_doubles_up_to_its_limit() -> None:
    sent = outstanding()
    now_s, waits = 0.0, []
    sent.sent(1, "a", now_s)
    for _ in range(6):
        waits.append(sent.next_due_s - now_s)
        assert sent.due(sent.next_due_s - 0.001) == []
        now_s = sent.next_due_s
        assert sent.due(now_s) == [1]
        sent.sent(1, "a", now_s)
    assert waits == [10, 20, 40, 80, 100, 100]


def test_a_receipt_ends_it() -> None:
    sent = outstanding()
    sent.sent(1, "a", 0.0)
    assert sent.digest(1) == "a"
    sent.arrived(1, 5.0)
    assert sent.digest(1) is None
    assert sent.due(1000.0) == []
    assert sent.next_due_s == float("inf")


def test_what_the_broker_lost_goes_at_once() -> None:
    sent = outstanding()
    for number in range(1, 3 * PROBES):
        sent.sent(number, "a", 0.0)
    sent.lost(7, 1.0)
    assert sent.due(1.0) == [7]
    sent.sent(7, "a", 1.0)
    assert sent.due(1.1) == []
    sent.all_lost(2.0)
    assert sent.due(2.0) == list(range(1, 3 * PROBES))


def test_a_silent_server_gets_only_probes() -> None:
    sent = outstanding()
    for number in range(1, 51):
        sent.sent(number, "a", 0.0)
    assert sent.due(50.0) == list(range(1, PROBES + 1))


def test_a_server_that_answers_others_gets_everything_that_is_late() -> None:
    sent = outstanding()
    for number in range(1, 51):
        sent.sent(number, "a", 0.0)
    sent.arrived(50, 5.0)
    assert sent.due(50.0) == list(range(1, 50))


def test_a_server_that_comes_back_is_told_soon_whatever_the_back_off() -> None:
    sent = outstanding()
    now_s = 0.0
    sent.sent(1, "a", now_s)
    for _ in range(8):
        now_s = sent.next_due_s
        sent.due(now_s)
        sent.sent(1, "a", now_s)
    sent.server_lives(now_s + 1)
    assert sent.next_due_s == now_s + 11


def test_a_few_readings_that_never_get_a_receipt_hold_nobody_back() -> None:
    sent = outstanding(window=2)
    now_s = 0.0
    sent.sent(1, "a", now_s)
    sent.sent(2, "a", now_s)
    before = sent.full
    assert before
    for _ in range(STUCK_AFTER):
        now_s = sent.next_due_s
        for number in sent.due(now_s):
            sent.sent(number, "a", now_s)
    beside_a_silent_server = sent.full
    sent.server_lives(now_s)
    beside_a_living_one = sent.full
    assert (beside_a_silent_server, beside_a_living_one) == (True, False)
    sent.sent(3, "a", now_s)
    sent.sent(4, "a", now_s)
    assert sent.full


@given(
    st.lists(
        st.tuples(st.sampled_from(["sent", "arrived", "lost", "lives", "due"]), st.integers(1, 40)), max_size=60
    )
)
def test_nothing_is_forgotten(steps: list[tuple[str, int]]) -> None:
    """Whatever happens, each reading without a receipt comes due again."""
    sent = Outstanding(1000, 10.0, 100.0)
    expected: set[int] = set()
    now_s = 0.0
    for what, number in steps:
        now_s += 3.0
        if what == "sent":
            sent.sent(number, "a", now_s)
            expected.add(number)
        elif what == "arrived":
            sent.arrived(number, now_s)
            expected.discard(number)
        elif what == "lost":
            sent.lost(number, now_s)
        elif what == "lives":
            sent.server_lives(now_s)
        else:
            for due in sent.due(now_s):
                sent.sent(due, "a", now_s)
    assert len(sent) == len(expected)
    seen: set[int] = set()
    for _ in range(10):
        sent.server_lives(now_s)
        now_s += 200.0
        seen.update(sent.due(now_s))
        for number in sorted(seen):
            sent.arrived(number, now_s)
    assert seen == expected
