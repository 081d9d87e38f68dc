"""An 11073 agent as a USB device of the Personal Healthcare Device Class, descriptors as a shipping meter has them.

The layout of the configuration is that of a Roche ACCU-CHEK Guide (published lsusb output), with the specialization
of an INR meter.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from simulators.ieee11073.agent import Agent
from simulators.part import Part
from simulators.usb import descriptors as standard
from simulators.usb.device import Descriptors, Setup, StallError, UsbDevice

__all__ = ["PhdcMeter", "UsbIdentity"]

IN, OUT, PROMPT_IN = 0x81, 0x01, 0x82
PACKET = 64
_CLASS_GET_STATUS = (0xA1, 0x00)

Code = Annotated[int, Field(ge=0, le=0xFFFF)]


class UsbIdentity(Part):
    """What the device calls itself on the bus, and how it misbehaves there.

    Attributes:
        specializations: device specializations of its function descriptor.
        stalls_once: the first transfer to the host meets a halted endpoint.
        babbles_at: this transfer to the host, counted from 1, is longer than any host asks for.
        one_packet: transfers end after each packet of 64 octets.
        prompt_octets: event reports up to this size leave through an interrupt endpoint; 0: there is none.
    """

    vendor_id: Code = 0x1209
    product_id: Code = 0x0F0F
    manufacturer: str = "ACME"
    product: str = "HomeINR"
    serial: str = "SN000123"
    specializations: tuple[Code, ...] = (0x1012,)
    stalls_once: bool = False
    babbles_at: Annotated[int, Field(ge=1)] | None = None
    one_packet: bool = False
    prompt_octets: Annotated[int, Field(ge=0, le=0xFFFF)] = 0


def descriptors(identity: UsbIdentity) -> Descriptors:
    """The descriptors, octet for octet."""
    strings = (identity.manufacturer, identity.product, identity.serial, "Personal Healthcare Device Class")
    codes = b"".join(struct.pack("<H", code) for code in identity.specializations)
    function = bytes([4, 0x20, 0x02, 0x00])
    named = bytes([4 + len(codes), 0x30, 0, len(identity.specializations)]) + codes
    has_prompt = bool(identity.prompt_octets)
    body = standard.interface(0, 2 + has_prompt, (0x0F, 0, 0), name=4) + function + named
    for address, label in ((IN, b"INR PHDC Tx\0"), (OUT, b"INR PHDC Rx\0")):
        qos = bytes([4, 0x21, 0x01, 0x08])
        body += standard.endpoint(address, PACKET) + qos + bytes([2 + len(label), 0x22]) + label
    if has_prompt:
        qos = bytes([4, 0x21, 0x01, 0x01])  # low latency, good reliability
        body += standard.endpoint(PROMPT_IN, PACKET, transfer=standard.INTERRUPT, interval_ms=10) + qos
    device = standard.device(identity.vendor_id, identity.product_id)
    return Descriptors(device, standard.configuration(body, 1), strings)


class PhdcMeter(UsbDevice):
    """The device: what the agent sends goes into the bulk IN endpoint, what the host sends to the agent.

    The agent begins when a host configures the device and forgets its association on a reset, as meters do.
    """

    def __init__(
        self, agent: Agent, identity: UsbIdentity | None = None, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.agent = agent
        self.identity = identity or UsbIdentity()
        super().__init__(descriptors(self.identity))
        self._now_s = now_s
        self._outgoing: dict[int, deque[bytes]] = {IN: deque()}
        if self.identity.prompt_octets:
            self._outgoing[PROMPT_IN] = deque()
        self._halted = self.identity.stalls_once
        self._transfers = 0

    def class_request(self, setup: Setup, data: bytes) -> bytes:
        """GET_STATUS tells which endpoints have data; there is no metadata preamble to switch on."""
        if (setup.request_type, setup.request) == _CLASS_GET_STATUS and not data:
            waiting = (endpoint for endpoint, transfers in self._outgoing.items() if transfers)
            return struct.pack("<H", sum(1 << (endpoint & 0x0F) for endpoint in waiting))
        raise StallError

    def was_configured(self) -> None:
        """A host is there."""
        self._discard()
        self._take(self.agent.connected(self._now_s()))

    def was_reset(self) -> None:
        """Whatever was under way is forgotten; what was not confirmed stays."""
        self.configured = 0
        self._discard()
        self.agent.lost()

    def halt_cleared(self, endpoint: int) -> None:
        """The host may go on reading."""
        if endpoint == IN:
            self._halted = False

    def wake(self) -> None:
        """A test was made while the cable is in."""
        self._take(self.agent.wake(self._now_s()))

    def bulk_out(self, endpoint: int, octets: bytes) -> None:
        """Octets for the agent."""
        if endpoint != OUT or not self.configured:
            raise StallError
        self._take(self.agent.receive(octets, self._now_s()))

    def bulk_in(self, endpoint: int) -> bytes | None:
        """What the agent has to say."""
        outgoing = self._outgoing.get(endpoint)
        if outgoing is None or not self.configured or (endpoint == IN and self._halted and outgoing):
            raise StallError
        self._take(self.agent.tick(self._now_s()))
        if not outgoing:
            return None
        transfer = outgoing.popleft()
        if self.identity.one_packet and len(transfer) > PACKET:
            outgoing.appendleft(transfer[PACKET:])
            transfer = transfer[:PACKET]
        self._transfers += 1
        return transfer.ljust(1 << 17, b"\0") if self._transfers == self.identity.babbles_at else transfer

    def _take(self, apdus: list[bytes]) -> None:
        with self.changed:
            for apdu in apdus:
                is_prompt = PROMPT_IN in self._outgoing and _is_report(apdu, self.identity.prompt_octets)
                self._outgoing[PROMPT_IN if is_prompt else IN].append(apdu)
            self.changed.notify_all()

    def _discard(self) -> None:
        for outgoing in self._outgoing.values():
            outgoing.clear()


def _is_report(apdu: bytes, most_octets: int) -> bool:
    """Whether this is an event report, confirmed or not, but no configuration, of at most so many octets."""
    is_event = apdu[:2] == b"\xe7\x00" and apdu[8:10] in (b"\x01\x00", b"\x01\x01")
    return is_event and apdu[18:20] != b"\x0d\x1c" and len(apdu) <= most_octets
