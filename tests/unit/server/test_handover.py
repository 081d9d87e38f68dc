"""Nothing is lost or reordered between the threads, and what waits is bounded."""

from __future__ import annotations

import threading

from gateway.mqtt.connection import Arrival, Token
from gateway.server.handover import Handover


def arrival(number: int, size: int = 1) -> Arrival:
    return Arrival(str(number), b"x" * size, False, Token(1, number, 1))


def test_everything_comes_through_in_order_past_a_small_bound() -> None:
    handover = Handover(most=7, most_octets=100)
    total = 5000

    def put() -> None:
        for number in range(total):
            assert handover.put(arrival(number), 10.0)

    thread = threading.Thread(target=put)
    thread.start()
    taken: list[str] = []
    while len(taken) < total:
        batch = handover.take(5, 10.0, 0.0)
        assert 0 < len(batch) <= 5
        taken += [each.topic for each in batch]
    thread.join()
    assert taken == [str(number) for number in range(total)]
    assert handover.empty


def test_a_batch_is_gathered_until_it_is_whole() -> None:
    handover = Handover(most=100, most_octets=1000)
    handover.put(arrival(0), 0)
    timer = threading.Timer(0.05, lambda: [handover.put(arrival(number), 0) for number in (1, 2)])
    timer.start()
    assert len(handover.take(3, 10.0, 10.0)) == 3
    timer.join()


def test_what_waits_is_bounded_by_count_and_by_octets() -> None:
    handover = Handover(most=2, most_octets=10)
    assert handover.put(arrival(1), 0)
    assert handover.put(arrival(2), 0)
    assert not handover.put(arrival(3), 0.01)
    handover.take(5, 0, 0)
    assert handover.put(arrival(4, size=50), 0)  # one always fits, or it would never come through
    assert not handover.put(arrival(5), 0.01)
    assert [each.topic for each in handover.take(5, 0, 0)] == ["4"]
    assert handover.put(arrival(6), 0)


def test_waking_ends_the_wait() -> None:
    handover = Handover(most=2, most_octets=10)
    timer = threading.Timer(0.05, handover.wake)
    timer.start()
    assert handover.take(5, 30.0, 0) == []
    handover.wake()
    handover.put(arrival(1), 0)
    assert len(handover.take(5, 0, 30.0)) == 1
    timer.join()
