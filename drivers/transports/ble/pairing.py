"""Pairing with a meter, with a person at the terminal; and looking around.

On Linux the person's answers reach BlueZ through our own agent, which is there before the connection is. On Windows
and macOS the system asks by itself and does not say how well it paired; such a pairing counts as ``encrypted`` and
no better. Both are untested.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from drivers.contract import Advertisement, Security
from drivers.errors import DriverError, PairingError, PairingReason, TransportError, TransportReason
from drivers.protocols.gatt import Link
from drivers.transports.ble.agent import Agent, Person
from drivers.transports.ble.bluez import DBusError
from drivers.transports.ble.bonds import RANK
from drivers.transports.ble.errors import dbus_name, explained
from drivers.transports.ble.link import CONNECT_S, SAFETY_S, described
from drivers.transports.ble.radio import Radio
from drivers.transports.ble.scanner import Heard, Timing

__all__ = ["Agreed", "Pairing", "Seen", "pairing"]

T = TypeVar("T")

START_S: Final = 10.0
PAIR_S: Final = 120.0
"""A person has to read a number and type it; the protocol itself gives up after 30 s of silence (Core Vol 3 Part H
clause 3.4)."""
CALL_S: Final = 30.0
LOOK_S: Final = 0.1
AGAIN_S: Final = 30.0
"""How long a meter may take to show itself again after its old keys were removed, or to be connected to."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A device that is near, as it was heard last.

    Attributes:
        bonded: the system has keys for it; None where that cannot be learned.
        connected: a program speaks with it just now.
    """

    advertisement: Advertisement
    bonded: bool | None
    connected: bool


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a pairing came to.

    Attributes:
        address: the meter's identity address, which may differ from the one it was found by.
        security: what was reached.
        link: what the meter offers.
    """

    address: str
    name: str
    security: Security
    link: Link


class Pairing:
    """A radio of our own; see `pairing`. All calls block."""

    def __init__(self, person: Person | None, timing: Timing | None) -> None:
        self._radio = Radio(person, timing)
        self._heard: dict[str, Heard] = {}
        self._lock = threading.Lock()
        self._radio.add(self)

    def start(self) -> None:
        """Start the radio.

        Raises:
            TransportError: Bluetooth does not work here; the message names the remedy.
        """
        self._radio.start()
        self._radio.wait_until_tried(START_S)
        if self._radio.trouble is not None:
            raise self._radio.trouble

    def stop(self) -> None:
        """End it."""
        self._radio.stop()

    def look(self, seconds: float, seen: Callable[[Seen], bool] = lambda _seen: False) -> list[Seen]:
        """Look around.

        Args:
            seconds: for how long.
            seen: called with each device once it is heard, and again when it tells more; True ends it all.

        Returns:
            What was heard, the strongest first.
        """
        until_s = time.monotonic() + seconds
        told: dict[str, Advertisement] = {}
        while time.monotonic() < until_s:
            with self._lock:
                now = [_seen(heard) for heard in self._heard.values()]
            for each in now:
                known = told.get(each.advertisement.address)
                if known is None or _content(known) != _content(each.advertisement):
                    told[each.advertisement.address] = each.advertisement
                    if seen(each):
                        return now
            time.sleep(LOOK_S)
        with self._lock:
            found = [_seen(heard) for heard in self._heard.values()]
        return sorted(found, key=lambda each: each.advertisement.rssi or -127, reverse=True)

    def pair(self, address: str, security: Security, within_s: float = AGAIN_S) -> Agreed:
        """Pair with a device that was heard. Keys of an earlier pairing are removed first.

        Args:
            address: as it was heard.
            security: what must be reached.
            within_s: for so long a connection that breaks before the pairing has begun is made again: nobody was
                asked for anything yet.

        Raises:
            PairingError: REJECTED; or DOWNGRADED: less was reached than is demanded, and no keys are kept.
            TransportError: it cannot be connected to.
        """
        address = address.upper()
        with self._lock:
            heard = self._heard.get(address)
        if heard is None:
            message = f"{address}: not heard; wake the meter up, so that it shows itself for pairing"
            raise TransportError(message, TransportReason.NOT_FOUND)
        if heard.bonded:
            heard = self._heard_anew(heard)
        until_s = time.monotonic() + within_s
        while True:
            try:
                return self._pair_once(heard, security)
            except _NotBegunError as error:
                if time.monotonic() >= until_s:
                    with contextlib.suppress(DriverError):
                        self._call(lambda: _forgotten(self._radio, address), CALL_S)
                    raise error.given_up(address, within_s) from error
            time.sleep(self._radio.timing.retry_s)

    def _pair_once(self, heard: Heard, security: Security) -> Agreed:
        return self._call(lambda: _paired(self._radio, heard, security), PAIR_S + CONNECT_S + SAFETY_S)

    def heard(self, heard: Heard) -> None:
        """An advertisement; called by the radio."""
        with self._lock:
            self._heard[heard.advertisement.address] = heard

    def wanted_to_pair(self, address: str) -> None:
        """Called by the radio; a person was asked already."""

    def _call(self, work: Callable[[], Coroutine[Any, Any, T]], timeout_s: float) -> T:
        try:
            return self._radio.call(work, timeout_s)
        except (TimeoutError, DBusError) as error:
            raise explained(error, "Bluetooth") from error

    def _heard_anew(self, old: Heard) -> Heard:
        address = old.advertisement.address
        self._call(lambda: _forgotten(self._radio, address), CALL_S)
        with self._lock:
            self._heard.pop(address, None)
        self.look(AGAIN_S, lambda seen: seen.advertisement.address == address)
        with self._lock:
            heard = self._heard.get(address)
        if heard is None:
            message = f"{address}: its old keys were removed; now wake the meter up for pairing, and run this again"
            raise TransportError(message, TransportReason.NOT_FOUND)
        return heard


@contextmanager
def pairing(person: Person | None, timing: Timing | None = None) -> Iterator[Pairing]:
    """A radio for as long as it is needed.

    Args:
        person: answers what the meter wants to know; None: only to look around.
        timing: for tests.

    Raises:
        TransportError: Bluetooth does not work here; the message names the remedy.
    """
    made = Pairing(person, timing)
    try:
        made.start()
        yield made
    finally:
        made.stop()


class _NotBegunError(Exception):
    """There was no connection for long enough to begin a pairing."""

    def __init__(self, why: str, reason: TransportReason) -> None:
        super().__init__(why)
        self._reason = reason

    def given_up(self, address: str, after_s: float) -> TransportError:
        """The same for a person."""
        return TransportError(
            f"{address}: {self}; no connection held within {after_s:g} s: put the meter into pairing mode again, "
            f"nearer to this computer, and run: inr-gateway pair {address}",
            self._reason,
        )


async def _paired(radio: Radio, heard: Heard, security: Security) -> Agreed:
    from bleak import BleakClient

    address, agent = heard.advertisement.address, radio.agent
    agent.start_anew(security)
    client = BleakClient(heard.device, timeout=CONNECT_S)
    is_agreed = False
    try:
        await agent.make_default()  # a hub may have started meanwhile
        async with asyncio.timeout(CONNECT_S + SAFETY_S):
            await client.connect()
        if sys.platform != "darwin":  # there the system asks when something protected is first read
            async with asyncio.timeout(PAIR_S):
                await client.pair()
        is_agreed = True
        reached: Security = "authenticated" if agent.proven else "encrypted"
        if RANK[reached] < RANK[security]:
            raise _downgraded(address)
        link = described(client, client.address.upper(), bonded=True)
    except Exception as error:
        if not (is_agreed or agent.asked) and (broken := _broken(error)) is not None:
            raise broken from error
        with contextlib.suppress(DBusError, DriverError):
            # Once it is bonded BlueZ knows a meter with a private address by its identity address.
            for each in {address, client.address.upper()}:
                await _forgotten(radio, each)
        raise _why(error, agent, address) from error
    finally:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CONNECT_S):
                await client.disconnect()
    return Agreed(link.address, link.name or heard.advertisement.name or "", reached, link)


def _broken(error: Exception) -> _NotBegunError | None:
    """What became of the connection, if that is what went wrong."""
    if dbus_name(error) == "org.bluez.Error.AuthenticationCanceled":  # BlueZ's word for a link that was lost, too
        return _NotBegunError("the link was lost", TransportReason.CLOSED)
    known = explained(error, "")
    if not isinstance(known, TransportError):
        return None
    for reason in (TransportReason.NOT_FOUND, TransportReason.CLOSED, TransportReason.TIMED_OUT):
        if known.reason is reason:
            why, _, _ = str(known).removeprefix(": ").partition(";")  # what follows is what a hub does next
            return _NotBegunError(why, reason)
    return None


def _why(error: Exception, agent: Agent, address: str) -> DriverError:
    if agent.refused:
        return _downgraded(address)
    if dbus_name(error).startswith("org.bluez.Error.Authentication"):
        return PairingError(
            f"{address}: the pairing failed; was the number right and in time? Run: inr-gateway pair {address}",
            PairingReason.REJECTED,
        )
    return explained(error, address)


def _downgraded(address: str) -> PairingError:
    return PairingError(
        f"{address}: the meter agreed only to a pairing without a number, which anybody near could imitate; its "
        "profile demands more, so no keys were kept. Set the meter to pairing with a passkey and run: "
        f"inr-gateway pair {address}",
        PairingReason.DOWNGRADED,
    )


async def _forgotten(radio: Radio, address: str) -> None:
    if radio.bluez is not None:
        await radio.bluez.forget(address)


def _seen(heard: Heard) -> Seen:
    return Seen(heard.advertisement, heard.bonded, heard.connected)


def _content(advertisement: Advertisement) -> tuple[object, ...]:
    return advertisement.name, advertisement.service_uuids, tuple(advertisement.service_data.items())
