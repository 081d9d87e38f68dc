from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import TransportError, TransportReason
from drivers.protocols.gatt import Disconnect, Frame, Read, Write, encode, expanded
from drivers.transports.ble.transport import BleTransport, Mailbox

LOST = TransportError("lost", TransportReason.CLOSED)
RACP = expanded(0x2A52)


@given(st.lists(st.binary(min_size=1, max_size=20)), st.lists(st.integers(1, 30)))
def test_octets_keep_their_order_whatever_is_asked_for(parts: list[bytes], sizes: list[int]) -> None:
    mailbox = Mailbox()
    for part in parts:
        assert mailbox.put(part)
    mailbox.end(LOST)
    got = b"".join(mailbox.take(size, 0) for size in sizes if mailbox._octets)
    while mailbox._octets:
        got += mailbox.take(7, 0)
    assert got == b"".join(parts)
    with pytest.raises(TransportError, match="lost"):
        mailbox.take(1, 0)


def test_a_hub_that_does_not_read_fills_no_memory() -> None:
    mailbox = Mailbox(max_octets=10)
    assert mailbox.put(bytes(8))
    assert not mailbox.put(bytes(3))
    assert mailbox.take(100, 0) == bytes(8)
    assert mailbox.put(bytes(10))


def test_a_read_waits_and_gives_nothing_in_the_end() -> None:
    mailbox = Mailbox()
    assert mailbox.take(1, 0.01) == b""
    threading.Timer(0.05, mailbox.put, args=(b"x",)).start()
    assert mailbox.take(1, 10) == b"x"


def test_the_first_reason_of_an_end_stays() -> None:
    mailbox = Mailbox()
    mailbox.end(LOST)
    mailbox.end(TransportError("closed", TransportReason.CLOSED))
    with pytest.raises(TransportError, match="lost"):
        mailbox.take(1, 0)


def test_frames_are_put_together_from_any_writes() -> None:
    posted: list[Frame] = []
    transport = BleTransport("C0:00:00:00:00:01", Mailbox(), posted.append)
    octets = encode(Read(RACP)) + encode(Write(RACP, b"\x01\x02"))
    for octet in octets:
        transport.write(bytes([octet]))
    assert posted == [Read(RACP), Write(RACP, b"\x01\x02")]


def test_closing_says_so_once_and_forgets_what_nobody_read() -> None:
    posted: list[Frame] = []
    closed: list[int] = []
    mailbox = Mailbox()
    mailbox.put(b"unread")
    mailbox.end(LOST)
    transport = BleTransport("C0:00:00:00:00:01", mailbox, posted.append, lambda: closed.append(1))
    with transport:
        pass
    transport.close()
    assert posted == [Disconnect()]
    assert closed == [1]
    with pytest.raises(TransportError, match="closed"):
        transport.read(10, 0)
