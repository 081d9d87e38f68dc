"""A PHDC meter with an interrupt endpoint beside the bulk ones: both are read, and APDUs stay whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
import usb.core
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import TransportError, TransportReason
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.transports.phdc import open_phdc
from drivers.transports.phdc_descriptors import Endpoint, phdc_interfaces
from drivers.transports.phdc_pipes import Pipes, whole_apdus
from simulators.ieee11073.dialect import Dialect, Transfer
from simulators.usb.backend import Bus
from simulators.usb.phdc import UsbIdentity
from tests.unit.drivers.test_phdc import PROFILE, SCENARIO, converse, meter

PROMPT = UsbIdentity(prompt_octets=0xFFFF)
BULK, INTERRUPT = Endpoint(0x81, 64), Endpoint(0x82, 64)
PATIENCE_S = 10.0


def test_the_descriptors_name_the_endpoint() -> None:
    (seen,) = usb.core.find(find_all=True, backend=Bus(meter(identity=PROMPT)))
    (interface,) = phdc_interfaces(seen)
    assert interface.interrupt_in is not None
    assert (interface.interrupt_in.address, interface.interrupt_in.qos) == (0x82, ("low.good",))
    (without,) = usb.core.find(find_all=True, backend=Bus(meter()))
    assert next(phdc_interfaces(without)).interrupt_in is None


@pytest.mark.parametrize("transfer", [Transfer.LIVE, Transfer.STORE])
@pytest.mark.parametrize("prompt_octets", [64, 0xFFFF])
@pytest.mark.parametrize("one_packet", [False, True])
def test_a_whole_memory_over_both_endpoints(transfer: Transfer, prompt_octets: int, one_packet: bool) -> None:
    device = meter(Dialect(transfer=transfer), UsbIdentity(prompt_octets=prompt_octets, one_packet=one_packet))
    driver = Ieee11073Driver(PROFILE)
    with open_phdc("phdc:", backend=Bus(device)) as transport:
        assert len(converse(transport, driver)) == len(SCENARIO.memory)
    assert not device.agent.deliveries.unsent


def test_get_status_tells_of_the_interrupt_endpoint() -> None:
    device = meter(identity=PROMPT)
    with open_phdc("phdc:", backend=Bus(device)) as transport:
        assert transport.read(65_536, PATIENCE_S)[:2] == b"\xe2\x00"
        assert transport.endpoints_with_data() == 0


def read_on(read: Callable[[int, float], bytes]) -> None:
    while True:
        read(65_536, PATIENCE_S)


@pytest.mark.parametrize("after", [1, 4])
def test_unplugged_and_plugged_in_again_nothing_is_lost(after: int) -> None:
    device = meter(identity=PROMPT)
    bus = Bus(device)
    driver = Ieee11073Driver(PROFILE)
    with open_phdc("phdc:", backend=bus) as transport:
        converse(transport, driver, stop_after=after)
        bus.unplug(device)
        with pytest.raises(TransportError) as caught:
            read_on(transport.read)
        assert caught.value.reason is TransportReason.UNPLUGGED
    bus.plug(device)
    with open_phdc("phdc:", backend=bus) as transport:
        assert len(converse(transport, driver)) == len(SCENARIO.memory) - after + 1
    assert not device.agent.deliveries.unsent


def test_closing_ends_the_threads() -> None:
    before = set(threading.enumerate())
    transport = open_phdc("phdc:", backend=Bus(meter(identity=PROMPT)))
    assert len(set(threading.enumerate()) - before) == 2
    transport.close()
    assert set(threading.enumerate()) <= before


def apdu(body: bytes) -> bytes:
    return b"\xe7\x00" + len(body).to_bytes(2, "big") + body


APDUS = st.lists(st.binary(max_size=40).map(apdu), max_size=8)


@given(APDUS, APDUS, st.integers(1, 9), st.integers(1, 9))
def test_apdus_of_two_endpoints_are_never_mixed(
    bulk: list[bytes], prompt: list[bytes], bulk_packet: int, prompt_packet: int
) -> None:
    def packets(apdus: list[bytes], size: int) -> list[bytes]:
        octets = b"".join(apdus)
        return [octets[start : start + size] for start in range(0, len(octets), size)]

    left = {BULK.address: packets(bulk, bulk_packet), INTERRUPT.address: packets(prompt, prompt_packet)}

    def transfer(endpoint: Endpoint, _wait_s: float) -> bytes:
        if left[endpoint.address]:
            return left[endpoint.address].pop(0)
        raise TransportError("pulled", TransportReason.UNPLUGGED)

    pipes = Pipes(transfer, (BULK, INTERRUPT), 0.01, "meter")
    arrived = b""
    try:
        while True:
            arrived += pipes.take(PATIENCE_S)
    except TransportError:
        pass
    finally:
        pipes.close()
    while arrived:
        end = 4 + int.from_bytes(arrived[2:4], "big")
        one, arrived = arrived[:end], arrived[end:]
        (bulk if bulk and bulk[0] == one else prompt).remove(one)


def test_octets_that_are_no_apdu_are_passed_on() -> None:
    assert whole_apdus(b"\x12\x34\x00\x01\x00") == 5
    assert whole_apdus(apdu(b"ab") + b"\x00\x00\x00\x00rubbish") == 17
    assert whole_apdus(apdu(b"ab") + b"\xe7\x00\x00") == 6
    assert whole_apdus(apdu(b"ab") + b"\xe7\x00\x00\x02a") == 6


def test_a_reader_that_waits_is_woken_by_either_endpoint() -> None:
    came = {BULK.address: threading.Event(), INTERRUPT.address: threading.Event()}

    def transfer(endpoint: Endpoint, wait_s: float) -> bytes:
        event = came[endpoint.address]
        if not event.wait(wait_s):
            return b""
        event.clear()
        return apdu(bytes([endpoint.address]))

    pipes = Pipes(transfer, (BULK, INTERRUPT), 0.05, "meter")
    try:
        for endpoint in (INTERRUPT, BULK, INTERRUPT):
            threading.Timer(0.02, came[endpoint.address].set).start()
            began_s = time.monotonic()
            assert pipes.take(PATIENCE_S) == apdu(bytes([endpoint.address]))
            assert time.monotonic() - began_s < PATIENCE_S / 2
        assert pipes.take(0.01) == b""
    finally:
        pipes.close()
