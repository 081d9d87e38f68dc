"""What is plugged in now, and by which address a hub should name it. Nothing is opened or claimed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.errors import TransportError, TransportReason

__all__ = ["Sighting", "phdc_devices", "serial_ports", "there"]

_BY_ID = Path("/dev/serial/by-id")
_PHDC = re.compile(r"phdc:(?:([0-9A-Fa-f]{1,4}):([0-9A-Fa-f]{1,4})(?::(.+))?)?")
_NAMED_ELSEWHERE = ("tcp:", "tcp-listen:")
_ON_THE_AIR = "ble:"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device that is there.

    Attributes:
        kind: ``serial`` or ``usb`` (PHDC).
        address: for `hub.toml`; stays the same when the device is plugged in elsewhere, as far as that is possible.
        place: where it is now: a device path, or bus and number.
        text: what it calls itself.
        remark: what a person should know, or empty.
        specializations: of a health device: which kinds of meter it says it is.
    """

    kind: str
    address: str
    place: str
    text: str
    remark: str = ""
    specializations: tuple[int, ...] = ()


def _comports() -> Iterable[Any]:
    from serial.tools.list_ports import comports

    return comports()


def serial_ports(enumerate_ports: Callable[[], Iterable[Any]] = _comports) -> list[Sighting]:
    """Serial ports, those of USB adapters by the adapter's own identity.

    Args:
        enumerate_ports: lists them as pyserial does.
    """
    found = []
    for port in enumerate_ports():
        text = " ".join(part for part in (port.manufacturer, port.product) if part) or port.description or ""
        text = "" if text == "n/a" else text
        if port.vid is None:
            found.append(Sighting("serial", _stable_path(port.device), port.device, text))
            continue
        number = f":{port.serial_number}" if port.serial_number else ""
        remark = "" if number else "has no serial number: two of these cannot be told apart"
        address = f"usb:{port.vid:04x}:{port.pid:04x}{number}"
        found.append(Sighting("serial", address, port.device, text, remark))
    return sorted(found, key=lambda sighting: sighting.place)


def phdc_devices(backend: Any = None) -> list[Sighting]:
    """USB devices of the Personal Healthcare Device Class, whatever they measure.

    Raises:
        TransportError: MISSING_LIBRARY, or the devices cannot be listed.
    """
    try:
        import usb.core
    except ImportError as error:
        message = "pyusb is not installed, so USB health devices cannot be looked for; install inr-gateway[usb]"
        raise TransportError(message, TransportReason.MISSING_LIBRARY) from error
    try:
        return [each for device in usb.core.find(find_all=True, backend=backend) for each in _phdc(device)]
    except usb.core.NoBackendError as error:
        message = "libusb is not installed on this machine; install the package libusb-1.0-0"
        raise TransportError(message, TransportReason.MISSING_LIBRARY) from error
    except usb.core.USBError as error:
        message = f"USB devices cannot be listed: {error}"
        raise TransportError(message, TransportReason.NOT_PERMITTED) from error


def there(address: str, seen: Iterable[Sighting]) -> list[Sighting]:
    """Which of the devices an address names.

    Returns:
        Devices; several if the address is not precise enough.

    Raises:
        TransportError: none; the message says what was looked for. MISCONFIGURED for addresses that name no device
            here, because the meter is elsewhere or connects by itself.
    """
    if address.startswith(_NAMED_ELSEWHERE):
        raise TransportError(
            f"{address}: a meter on the network; not looked for here", TransportReason.MISCONFIGURED
        )
    if address.startswith(_ON_THE_AIR):
        raise TransportError(f"{address}: a Bluetooth meter; nothing is plugged in", TransportReason.MISCONFIGURED)
    if address.startswith("replay:"):
        raise TransportError(f"{address}: a capture, no meter", TransportReason.MISCONFIGURED)
    if "://" in address:
        raise TransportError(f"{address}: not looked for here", TransportReason.MISCONFIGURED)
    if address.startswith("/"):
        found = [each for each in seen if Path(each.place).resolve() == Path(address).resolve()]
        if not found and Path(address).exists():
            return [Sighting("serial", address, str(Path(address).resolve()), "")]
    elif wanted := _PHDC.fullmatch(address):
        found = [each for each in seen if each.kind == "usb" and _named(each, *wanted.groups())]
    else:
        vendor, product, serial = (*address.removeprefix("usb:").split(":", 2), None, None)[:3]
        found = [each for each in seen if each.kind == "serial" and _named(each, vendor, product, serial)]
    if not found:
        raise TransportError(f"{address}: nothing of that name is plugged in", TransportReason.NOT_FOUND)
    return found


def _named(sighting: Sighting, vendor: str | None, product: str | None, serial: str | None) -> bool:
    if vendor is None or product is None:
        return True
    parts = sighting.address.split(":", 3)
    if len(parts) < 3:
        return False
    number = parts[3] if len(parts) == 4 else None
    ids = (parts[1].lower(), parts[2].lower()) == (vendor.lower().zfill(4), product.lower().zfill(4))
    return ids and (serial is None or serial == number)


def _stable_path(device: str) -> str:
    try:
        links = sorted(_BY_ID.iterdir())
    except OSError:  # udev makes the folder with its first link and removes it with the last, also just now
        return device
    return next((str(link) for link in links if link.resolve() == Path(device).resolve()), device)


def _phdc(device: Any) -> Iterator[Sighting]:
    import usb.core
    import usb.util

    from drivers.transports.phdc_descriptors import phdc_interfaces

    for interface in phdc_interfaces(device):
        codes = tuple(interface.specializations)
        remark = f"specializations {', '.join(f'0x{code:04X}' for code in codes) or 'none'}"
        try:
            strings = [
                str(usb.util.get_string(device, index) or "") if index else ""
                for index in (device.iManufacturer, device.iProduct, device.iSerialNumber)
            ]
        except (usb.core.USBError, ValueError):
            strings = ["", "", ""]
            remark += "; its name cannot be read: not permitted, or it sleeps (config/udev/60-inr-phdc.rules)"
        address = f"phdc:{device.idVendor:04x}:{device.idProduct:04x}{f':{strings[2]}' if strings[2] else ''}"
        place = f"bus {device.bus} device {device.address}"
        yield Sighting("usb", address, place, " ".join(part for part in strings[:2] if part), remark, codes)
        return
