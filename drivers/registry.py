"""The door through which the gateway reaches drivers, transports and decoders.

A third-party package adds a driver by an entry point in the group ``inr_gateway.drivers``: its name is the driver's
name, its value names a subclass of `drivers.contract.Driver`. A decoder for ``inr-gateway decode`` is added in the
group ``inr_gateway.decoders``: a function from octets to an iterator of JSON-ready mappings, which raises
`drivers.errors.DriverError` with an offset at the first octet that is not its protocol. What cannot be loaded is an
error for that name alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.contract import ConfirmedBy, Driver
from drivers.transports.address import listen, listens, open_transport
from drivers.transports.base import Listener, Transport
from drivers.transports.capture import CapturingTransport, captured_octets
from drivers.transports.replay import ReplayTransport
from drivers.transports.sightings import Sighting, phdc_devices, serial_ports, there

if TYPE_CHECKING:
    # Types of what the functions below give, for those who call them.
    from drivers.transports.ble.agent import Person as Person
    from drivers.transports.ble.bonds import Bond as Bond
    from drivers.transports.ble.bonds import BondFile as BondFile
    from drivers.transports.ble.pairing import Agreed as Agreed
    from drivers.transports.ble.pairing import Pairing as Pairing
    from drivers.transports.ble.pairing import Seen as Seen

__all__ = [
    "CapturingTransport",
    "Decoder",
    "Listener",
    "NotUsableError",
    "Offer",
    "ReplayTransport",
    "Sighting",
    "Transport",
    "available",
    "bond_file",
    "captured_octets",
    "decoder",
    "forget_keys",
    "get",
    "kept_keys",
    "listen",
    "listens",
    "open_transport",
    "pairing",
    "phdc_devices",
    "protocols",
    "serial_ports",
    "there",
]

DRIVERS = "inr_gateway.drivers"
DECODERS = "inr_gateway.decoders"
Decoder = Callable[..., Iterator[dict[str, Any]]]
"""Octets in, one JSON-ready mapping for each message out. Some take more by keyword: see `inr-gateway decode`."""

_BUILT_IN = {
    DRIVERS: {
        "astm": "drivers.meters.astm:AstmDriver",
        "ble_ghs": "drivers.meters.ble_ghs:BleGhsDriver",
        "coag_sense_pt2_ble": "drivers.meters.coag_sense_pt2_ble:CoagSensePt2BleDriver",
        "ieee11073": "drivers.meters.ieee11073:Ieee11073Driver",
        "poct1a": "drivers.meters.poct1a:Poct1aDriver",
    },
    DECODERS: {
        "astm": "drivers.protocols.astm.dump:messages",
        "ghs": "drivers.protocols.ghs.dump:messages",
        "ieee11073": "drivers.protocols.ieee11073.dump:messages",
        "poct1a": "drivers.protocols.poct1a.dump:messages",
    },
}


class NotUsableError(LookupError):
    """There is no such driver or decoder, or it cannot be loaded; the message names the package and the remedy."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A driver as it is listed for people.

    Attributes:
        provider: the distribution it came with.
        driver: the class, or None when it is not usable.
        problem: why it is not usable, or None.
    """

    name: str
    provider: str
    driver: type[Driver] | None
    problem: str | None


def get(name: str) -> type[Driver]:
    """The driver of that name.

    Raises:
        NotUsableError: unknown, or its package is broken.
    """
    return _as_driver(name, _load(DRIVERS, name))


def available() -> tuple[Offer, ...]:
    """All drivers that are installed, usable or not, by name."""
    offers = []
    for name, points in sorted(_found(DRIVERS).items()):
        provider = _provider(points[0])
        try:
            offers.append(Offer(name, provider, get(name), None))
        except NotUsableError as error:
            offers.append(Offer(name, provider, None, str(error)))
    for point in _installed(DRIVERS):
        if _BUILT_IN[DRIVERS].get(point.name, point.value) != point.value:
            problem = f"the name {point.name!r} is taken by the driver that is built in"
            offers.append(Offer(point.name, _provider(point), None, problem))
    return tuple(offers)


def decoder(protocol: str) -> Decoder:
    """The profile-free decoder of a protocol.

    Raises:
        NotUsableError: unknown, or its package is broken.
    """
    loaded = _load(DECODERS, protocol)
    if not callable(loaded):
        raise NotUsableError(f"decoder {protocol!r}: {loaded!r} is no function")
    return loaded  # type: ignore[no-any-return]  # what a third party declares cannot be checked further


def protocols() -> tuple[str, ...]:
    """Names for `decoder`."""
    return tuple(sorted(_found(DECODERS)))


def bond_file(path: Path) -> BondFile:
    """The list of Bluetooth meters that were paired with this hub."""
    from drivers.transports.ble.bonds import BondFile

    return BondFile(path)


def pairing(person: Person | None = None) -> AbstractContextManager[Pairing]:
    """A Bluetooth radio for pairing, or without a person for looking around; see its own module."""
    from drivers.transports.ble.pairing import pairing

    return pairing(person)


def kept_keys() -> frozenset[str]:
    """Addresses of the Bluetooth devices that the system has keys for. Raises TransportError."""
    from drivers.transports.ble.keys import kept

    return kept()


def forget_keys(address: str) -> bool:
    """Remove the system's keys for a Bluetooth device; whether there were any. Raises TransportError."""
    from drivers.transports.ble.keys import forget

    return forget(address)


def _load(group: str, name: str) -> Any:
    kind = "driver" if group == DRIVERS else "decoder"
    # The metadata of all installed packages are searched only for what is not built in: that takes a while.
    own = _BUILT_IN[group].get(name)
    points = (EntryPoint(name, own, group),) if own is not None else _found(group).get(name, ())
    if not points:
        raise NotUsableError(f"no {kind} {name!r}; installed are {', '.join(sorted(_found(group)))}")
    if len(points) > 1:
        names = " and ".join(sorted({_provider(point) for point in points}))
        raise NotUsableError(f"{kind} {name!r} is offered twice, by {names}; uninstall one of them")
    try:
        return points[0].load()
    except Exception as error:
        raise NotUsableError(
            f"{kind} {name!r} of {_provider(points[0])} cannot be loaded: {type(error).__name__}: {error}; "
            "repair or uninstall that package"
        ) from error


def _found(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    own = {name: (EntryPoint(name, value, group),) for name, value in _BUILT_IN[group].items()}
    found: dict[str, tuple[EntryPoint, ...]] = {**own}
    for point in _installed(group):
        if point.name not in own:  # a name of ours stays ours, whoever claims it
            found[point.name] = (*found.get(point.name, ()), point)
    return found


def _installed(group: str) -> Iterable[EntryPoint]:
    return entry_points(group=group)


def _provider(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "inr-gateway"


@functools.cache
def _missing(driver: type[Driver]) -> tuple[str, ...]:
    wanted = {"name": str, "summary": str, "evidence": str, "confirmed_by": ConfirmedBy, "transports": frozenset}
    missing = [name for name, kind in wanted.items() if not isinstance(getattr(driver, name, None), kind)]
    return (*missing, *sorted(driver.__abstractmethods__))


def _as_driver(name: str, loaded: Any) -> type[Driver]:
    if not isinstance(loaded, type) or not issubclass(loaded, Driver):
        raise NotUsableError(f"driver {name!r}: {loaded!r} is no subclass of drivers.contract.Driver")
    missing = _missing(loaded)
    if missing:
        raise NotUsableError(f"driver {name!r} lacks what the contract demands: {', '.join(missing)}")
    if loaded.name != name:
        raise NotUsableError(f"driver {name!r} calls itself {loaded.name!r}; both names must be the same")
    return loaded
