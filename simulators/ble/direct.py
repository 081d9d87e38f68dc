"""The air without radio: a stack on the hub's side reaches a simulated meter by plain calls.

`Far` and `Link` are what such a stack needs of a peripheral; `Direct` gives them over nothing,
`simulators.ble.central` over a bumble central.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from simulators.ble.gatt import Drop, Pause, Say, Service
from simulators.ble.instrument import Instrument
from simulators.ble.table import GHS

__all__ = ["Capability", "Direct", "Far", "Hub", "KeyMissingError", "Link", "LinkLostError", "PairingFailedError"]

Capability = Literal["DisplayOnly", "DisplayYesNo", "KeyboardOnly", "NoInputNoOutput", "KeyboardDisplay"]


class LinkLostError(Exception):
    """The link is gone, or there is nobody."""


class PairingFailedError(Exception):
    """Pairing ended without a key."""


class KeyMissingError(Exception):
    """The meter has no key for this hub any more; the link goes with it."""


class Agent(Protocol):
    """Who asks the person at the hub during a pairing. Raises PairingFailedError when the person declines."""

    capability: Capability

    async def request_passkey(self) -> int:
        """What does the meter show?"""

    async def display_passkey(self, passkey: int) -> None:
        """Type this into the meter."""

    async def confirm(self, number: int) -> None:
        """Does the meter show the same?"""

    async def authorize(self) -> None:
        """Pair without any check?"""


@dataclass(frozen=True, slots=True)
class Hub:
    """The stack that connects.

    Attributes:
        address: of its adapter.
        value: a characteristic's value came; an indication is confirmed when this returns.
        dropped: the link is gone and the stack has not asked for it.
    """

    address: str
    value: Callable[[str, bytes], Awaitable[None]]
    dropped: Callable[[], None]


class Link(Protocol):
    """One connection. Every method raises LinkLostError when it is gone."""

    mtu: int
    services: tuple[Service, ...]

    async def read(self, uuid: str) -> bytes:
        """Read a characteristic; raises AttError."""

    async def write(self, uuid: str, value: bytes) -> None:
        """Write with response; raises AttError."""

    async def subscribe(self, uuid: str, bits: int) -> None:
        """Write the client characteristic configuration; raises AttError."""

    async def pair(self, agent: Agent) -> None:
        """Agree on a key; raises PairingFailedError."""

    async def encrypt(self) -> None:
        """Encrypt with the key agreed on earlier; raises KeyMissingError."""

    async def disconnect(self) -> None:
        """Let it go."""


class Far(Protocol):
    """A peripheral in range.

    Attributes:
        address: as it shows itself now; a private one changes.
        identity: its static address, which a bonded hub knows behind every private one.
    """

    address: str
    identity: str
    name: str
    service_uuids: tuple[str, ...]
    service_data: Mapping[str, bytes]

    @property
    def is_advertising(self) -> bool:
        """Whether it can be found and connected to."""

    async def connect(self, hub: Hub) -> Link:
        """Connect; raises LinkLostError."""


class Direct:
    """A simulated meter, reached without any radio. One connection at a time, as meters do."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.identity = instrument.address
        self.address = instrument.address
        self.name = instrument.name
        self.service_data: Mapping[str, bytes] = instrument.service_data
        self.service_uuids: tuple[str, ...] = (GHS,)
        self._link: _DirectLink | None = None
        if instrument.is_private:
            self.rotate()

    @property
    def is_advertising(self) -> bool:
        """Meters fall silent while they are connected."""
        return self.instrument.is_found and self._link is None

    @property
    def is_connected(self) -> bool:
        """Whether a hub is there."""
        return self._link is not None

    async def connect(self, hub: Hub) -> Link:
        """Connect; raises LinkLostError when the meter is not there."""
        await asyncio.sleep(0)
        if not self.is_advertising:
            raise LinkLostError
        self._link = _DirectLink(self.instrument, hub, self._gone)
        return self._link

    def drop(self) -> None:
        """The meter lets go, or is carried out of range."""
        if self._link is not None:
            self._link.drop()

    def rotate(self) -> None:
        """Take a new resolvable private address (two most significant bits 01)."""
        octets = bytearray(secrets.token_bytes(6))
        octets[0] = octets[0] & 0x3F | 0x40
        self.address = ":".join(f"{octet:02X}" for octet in octets)

    def _gone(self) -> None:
        self._link = None


class _DirectLink:
    def __init__(self, instrument: Instrument, hub: Hub, gone: Callable[[], None]) -> None:
        self._instrument = instrument
        self._hub = hub
        self._gone = gone
        self._is_up = True
        self._ready = asyncio.Event()
        instrument.meets()
        sensor = instrument.sensor
        sensor.connected(instrument.mtu)
        sensor.woken = self._ready.set
        self.mtu = sensor.mtu
        self.services = sensor.services
        self._pump = asyncio.ensure_future(self._send())

    async def read(self, uuid: str) -> bytes:
        self._check()
        return self._instrument.sensor.read(uuid)

    async def write(self, uuid: str, value: bytes) -> None:
        self._check()
        self._instrument.sensor.write(uuid, value)

    async def subscribe(self, uuid: str, bits: int) -> None:
        self._check()
        self._instrument.sensor.subscribe(uuid, bits)
        self._ready.set()

    async def pair(self, agent: Agent) -> None:
        self._check()
        security, person = self._instrument.security, self._instrument.person
        method = _method(agent.capability, security.input_output)
        if method == "just works":
            if security.requires == "authenticated" and security.refuses_downgrade:
                raise PairingFailedError("the meter refuses to pair without authentication")
            await agent.authorize()
        elif method == "hub types":
            passkey = self._instrument.passkey()
            await person.sees(passkey)
            if await agent.request_passkey() != passkey:
                raise PairingFailedError("wrong passkey")
        elif method == "meter types":
            passkey = secrets.randbelow(1_000_000)
            await agent.display_passkey(passkey)
            if await person.types() != passkey:
                raise PairingFailedError("wrong passkey")
        else:
            number = secrets.randbelow(1_000_000)
            agrees = asyncio.ensure_future(person.compares(number))
            try:
                await agent.confirm(number)
            finally:
                agreed = await agrees
            if not agreed:
                raise PairingFailedError("the person at the meter saw another number")
        self._check()
        is_authenticated = method != "just works"
        self._instrument.bonds[self._hub.address] = is_authenticated
        self._instrument.sensor.secured(is_encrypted=True, is_authenticated=is_authenticated)

    async def encrypt(self) -> None:
        self._check()
        is_authenticated = self._instrument.bonds.get(self._hub.address)
        if is_authenticated is None:
            self._end()
            raise KeyMissingError
        self._instrument.sensor.secured(is_encrypted=True, is_authenticated=is_authenticated)

    async def disconnect(self) -> None:
        if self._is_up:
            self._end()

    def drop(self) -> None:
        """The hub learns that the link is gone."""
        if self._is_up:
            self._end()
            self._hub.dropped()

    def _check(self) -> None:
        if not self._is_up:
            raise LinkLostError

    def _end(self) -> None:
        self._is_up = False
        self._instrument.sensor.woken = lambda: None
        self._instrument.sensor.disconnected()
        if self._pump is not asyncio.current_task():
            self._pump.cancel()
        self._gone()

    async def _send(self) -> None:
        sensor = self._instrument.sensor
        while self._is_up:
            step = sensor.next_step()
            match step:
                case None:
                    await self._ready.wait()
                    self._ready.clear()
                case Pause():
                    await asyncio.sleep(step.seconds)
                case Drop():
                    self.drop()
                case Say():
                    await self._hub.value(step.uuid, step.value)
                    if self._is_up:
                        sensor.left(step)


Method = Literal["just works", "hub types", "meter types", "compare"]


def _method(hub: Capability, meter: str) -> Method:
    """How two parties of secure connections authenticate (Core, vol. 3, part H, table 2.8)."""
    if meter == "display":
        return "hub types" if hub in ("KeyboardOnly", "KeyboardDisplay") else "just works"
    if meter == "keyboard":
        return "just works" if hub in ("NoInputNoOutput", "KeyboardOnly") else "meter types"
    if meter == "comparison":
        if hub in ("DisplayYesNo", "KeyboardDisplay"):
            return "compare"
        return "hub types" if hub == "KeyboardOnly" else "just works"
    return "just works"
