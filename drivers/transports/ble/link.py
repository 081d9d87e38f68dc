"""The radio's side of a connection: bleak here, frames there. Everything in the radio's event loop.

Requests are carried out one after the other by one task; a notification only puts its frame into the same mailbox
as their answers, so the order in which the meter spoke is kept and no callback asks the radio for something.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from drivers.errors import DriverError, TransportError, TransportReason
from drivers.protocols.gatt import (
    Advertised,
    Characteristic,
    Disconnect,
    Failed,
    Frame,
    Link,
    Notified,
    Read,
    ReadDone,
    Service,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Write,
    WriteWithoutResponse,
    Written,
    encode,
)
from drivers.transports.ble.errors import att_code, explained
from drivers.transports.ble.scanner import Heard
from drivers.transports.ble.transport import Mailbox

if TYPE_CHECKING:
    from bleak import BleakClient
    from bleak.backends.characteristic import BleakGATTCharacteristic

__all__ = ["Connection", "described"]

T = TypeVar("T")

CONNECT_S: Final = 20.0
SAFETY_S: Final = 10.0
"""bleak may wait for D-Bus beyond its own time-out."""
REQUEST_S: Final = 35.0
"""An ATT transaction is dead after 30 s (Core Vol 3 Part F clause 3.3.3)."""
ABORTS: Final = 3
"""Links that may be lost while one is made."""
DISCONNECT_S: Final = 5.0
MAX_REQUESTS: Final = 16
"""Frames that may wait; a session sends one and waits for its answer."""
DEFAULT_MTU: Final = 23
_REFUSALS: Final = (0x05, 0x0C, 0x0F)
"""Insufficient authentication, key size, encryption."""


class Connection:
    """One connection to one meter.

    Attributes:
        address: the meter's identity address.
        refused: the meter denied something because the link is not trusted.
        aborted: how often the link came up and was lost again before it was of use.
    """

    def __init__(self, heard: Heard, mailbox: Mailbox) -> None:
        self.address = heard.advertisement.address
        self.refused = False
        self.aborted = 0
        self._opening = True
        self._given_up = asyncio.Event()
        self._heard = heard
        self._mailbox = mailbox
        self._requests: asyncio.Queue[Frame] = asyncio.Queue(MAX_REQUESTS)
        self._over: asyncio.Future[TransportError] = asyncio.get_running_loop().create_future()
        self._client: BleakClient | None = None

    async def open(self) -> None:
        """Connect, and put the first frames into the mailbox.

        Raises:
            DriverError: it cannot be connected to; nothing is left open.
        """
        from bleak import BleakClient

        client = BleakClient(self._heard.device, lambda _client: self._lost(), timeout=CONNECT_S)
        connecting = asyncio.create_task(client.connect())
        giving_up = asyncio.create_task(self._given_up.wait())
        try:
            async with asyncio.timeout(CONNECT_S + SAFETY_S):
                either: set[asyncio.Task[Any]] = {connecting, giving_up}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                await connecting
            if not client.is_connected:
                why = f"{self.address}: the link is lost as soon as it is made; it is tried again"
                raise TransportError(why, TransportReason.CLOSED)
        except Exception as error:
            raise explained(error, self.address) from error
        finally:
            for task in (connecting, giving_up):
                task.cancel()
            await asyncio.gather(connecting, giving_up, return_exceptions=True)
        self._opening = False
        self._client = client
        self._mailbox.put(encode(described(client, self.address, bonded=bool(self._heard.bonded))))
        for uuid, octets in self._heard.advertisement.service_data.items():
            self._mailbox.put(encode(Advertised(uuid, octets)))

    async def serve(self) -> None:
        """Carry out requests until the connection ends, whoever ends it. The mailbox is ended with it."""
        try:
            while not self._over.done():
                frame = await self._unless_over(self._requests.get())
                if isinstance(frame, Disconnect):
                    self._end("the connection was closed", TransportReason.CLOSED)
                elif frame is not None:
                    await self._perform(frame)
        except asyncio.CancelledError:
            self._end("the radio was lost", TransportReason.UNPLUGGED)
            raise
        finally:
            await self.close()

    async def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            with contextlib.suppress(Exception):  # whatever BlueZ says, this side has done with it
                async with asyncio.timeout(DISCONNECT_S):
                    await self._client.disconnect()
        self._end("the connection was closed", TransportReason.CLOSED)
        self._mailbox.end(self._over.result())

    def post(self, frame: Frame) -> None:
        """A frame of the hub's."""
        if isinstance(frame, Disconnect):  # before everything that waits
            self._end("the connection was closed", TransportReason.CLOSED)
            return
        try:
            self._requests.put_nowait(frame)
        except asyncio.QueueFull:
            self._end(f"more than {MAX_REQUESTS} requests wait for their answers", TransportReason.MISCONFIGURED)

    # ---------------------------------------------------------------- inside

    def _lost(self) -> None:
        """The link is gone. bleak calls this, too, for each of the links that it makes and loses while it connects.

        It makes them as fast as the radio can, until its own time-out; a meter that has lost its keys drops each.
        """
        if not self._opening:
            self._ended("the link was lost")
            return
        self.aborted += 1
        if self.aborted >= ABORTS:
            self._given_up.set()

    def _ended(self, why: str) -> None:
        self._end(f"{why}; it is tried again when the meter is heard", TransportReason.CLOSED)

    def _end(self, why: str, reason: TransportReason) -> None:
        if not self._over.done():
            self._over.set_result(TransportError(f"{self.address}: {why}", reason))

    async def _unless_over(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T | None:
        """What the work gives; None if the connection ended meanwhile. Raises TimeoutError, and what it raises."""
        task = asyncio.ensure_future(work)
        try:
            either: set[asyncio.Future[Any]] = {task, self._over}
            done, _ = await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                return task.result()
            if self._over in done:
                return None
            raise TimeoutError
        finally:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    async def _perform(self, frame: Frame) -> None:
        uuid = getattr(frame, "uuid", "")
        try:
            answer = await self._unless_over(self._carried_out(frame), REQUEST_S)
        except TimeoutError:
            self._end("a request had no answer for 35 s; the connection is dead", TransportReason.TIMED_OUT)
            return
        except Exception as error:
            client = self._client
            if client is None or not client.is_connected:
                self._ended("the link was lost")
                return
            code = att_code(error)
            self.refused = self.refused or code in _REFUSALS
            reason = error if isinstance(error, DriverError) else explained(error, self.address)
            answer = Failed(uuid, code, f"{type(frame).__name__}: {reason}")
        if answer is not None:
            self._put(answer)

    async def _carried_out(self, frame: Frame) -> Frame:
        client = self._client
        assert client is not None
        match frame:
            case Read(uuid):
                return ReadDone(uuid, bytes(await client.read_gatt_char(self._characteristic(client, uuid))))
            case Write(uuid, value):
                await client.write_gatt_char(self._characteristic(client, uuid), value, response=True)
                return Written(uuid)
            case WriteWithoutResponse(uuid, value):
                await client.write_gatt_char(self._characteristic(client, uuid), value, response=False)
                return Written(uuid)
            case Subscribe(uuid):
                await client.start_notify(self._characteristic(client, uuid), self._notified(uuid))
                return Subscribed(uuid)
            case Unsubscribe(uuid):
                await client.stop_notify(self._characteristic(client, uuid))
                return Unsubscribed(uuid)
        raise TransportError(f"{type(frame).__name__} is no request", TransportReason.MISCONFIGURED)

    def _notified(self, uuid: str) -> Callable[[BleakGATTCharacteristic, bytearray], None]:
        return lambda _characteristic, value: self._put(Notified(uuid, bytes(value)))

    def _put(self, frame: Frame) -> None:
        self._mailbox.useful = self._mailbox.useful or not isinstance(frame, Failed)
        if not self._mailbox.put(encode(frame)):
            self._end("the hub does not take what the meter sends", TransportReason.TIMED_OUT)

    def _characteristic(self, client: BleakClient, uuid: str) -> BleakGATTCharacteristic:
        """The first of this UUID, in the order of the attribute table."""
        found = [
            each for service in client.services for each in service.characteristics if each.uuid.lower() == uuid
        ]
        if not found:
            raise TransportError(f"the meter has no characteristic {uuid}", TransportReason.NOT_FOUND)
        return min(found, key=lambda each: each.handle)


def described(client: BleakClient, address: str, *, bonded: bool) -> Link:
    """The first frame of a connection."""
    services = []
    mtu = DEFAULT_MTU
    for service in sorted(client.services, key=lambda each: each.handle):
        characteristics = sorted(service.characteristics, key=lambda each: each.handle)
        services.append(
            Service(
                service.uuid.lower(),
                tuple(Characteristic(each.uuid.lower(), tuple(each.properties)) for each in characteristics),
            )
        )
        # What fits into a write is the MTU without the opcode and the handle.
        mtu = max([mtu, *(each.max_write_without_response_size + 3 for each in characteristics)])
    name: str | None = None
    with contextlib.suppress(Exception):
        name = client.name
    return Link(address, name, bonded=bonded, mtu=mtu, services=tuple(services))
