"""What bleak, D-Bus and BlueZ raise, in the words of `drivers.errors`, each with what a person can do."""

from __future__ import annotations

from typing import Final

from drivers.errors import DriverError, PairingError, PairingReason, TransportError, TransportReason

__all__ = ["att_code", "bond_lost", "bond_probably_lost", "explained", "is_in_progress"]

_INSUFFICIENT_AUTHENTICATION: Final = 0x05
_AUTHENTICATION: Final = (
    "org.bluez.Error.AuthenticationFailed",
    "org.bluez.Error.AuthenticationRejected",
    "org.bluez.Error.AuthenticationCanceled",
    "org.bluez.Error.AuthenticationTimeout",
)
_KEY_MISSING: Final = "key-missing"
"""In BlueZ's words for a link that the far end could not encrypt: br-connection-key-missing and its like."""


def dbus_name(error: BaseException) -> str:
    """The D-Bus name of an error, or nothing."""
    return str(getattr(error, "dbus_error", ""))


def is_in_progress(error: BaseException) -> bool:
    """Whether BlueZ refuses because it believes that it is doing this already."""
    return dbus_name(error) == "org.bluez.Error.InProgress"


def att_code(error: BaseException) -> int:
    """The ATT error code (Core Vol 3 Part F clause 3.4.1.1) that a failed GATT request had, or 0."""
    from bleak.exc import BleakGATTProtocolError

    if isinstance(error, BleakGATTProtocolError):
        return int(error.args[0])
    if dbus_name(error) == "org.bluez.Error.NotPermitted":  # "Not paired": BlueZ does not say which code it was
        return _INSUFFICIENT_AUTHENTICATION
    return 0


def bond_lost(address: str) -> PairingError:
    """The meter does not use the keys that this side has."""
    return PairingError(
        f"{address}: the meter no longer knows this hub's keys; run: inr-gateway unpair {address}, "
        f"then: inr-gateway pair {address}",
        PairingReason.BOND_LOST,
    )


def bond_probably_lost(address: str) -> PairingError:
    """The same, where nobody says so."""
    return PairingError(
        f"{address}: the meter drops the link before it says anything; if it is near, it has lost this hub's keys: "
        f"run: inr-gateway unpair {address}, then: inr-gateway pair {address}",
        PairingReason.BOND_LOST,
    )


def explained(error: BaseException, place: str) -> DriverError:
    """An error as the gateway knows them.

    Args:
        error: whatever came out of bleak or dbus-fast.
        place: the meter's address, or ``Bluetooth``.
    """
    if isinstance(error, DriverError):
        return error
    name, text = dbus_name(error), _text(error)
    if name in _AUTHENTICATION or _KEY_MISSING in text:
        return bond_lost(place)
    if name == "org.freedesktop.DBus.Error.AccessDenied" or type(error).__name__ == "AuthError":
        message = f"{place}: this user may not use BlueZ; add it to the group bluetooth and start again ({text})"
        return TransportError(message, TransportReason.NOT_PERMITTED)
    if name in ("org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"):
        return not_running()
    if name == "org.bluez.Error.NotReady":
        return switched_off()
    if name == "org.bluez.Error.InProgress":
        message = f"{place}: BlueZ is busy with the same request; it is asked again"
        return TransportError(message, TransportReason.BUSY)
    if isinstance(error, TimeoutError):
        message = f"{place}: no answer in time; the meter may be switched off or too far away"
        return TransportError(message, TransportReason.TIMED_OUT)
    if type(error).__name__ == "BleakDeviceNotFoundError" or name.endswith(".UnknownObject"):
        message = f"{place}: no longer there; it is contacted when it is heard again"
        return TransportError(message, TransportReason.NOT_FOUND)
    reason = str(getattr(getattr(error, "reason", None), "name", ""))  # of BleakBluetoothNotAvailableError
    if reason == "POWERED_OFF":
        return switched_off()
    if reason in ("NO_BLUETOOTH", "NO_BLE_CENTRAL_ROLE"):
        return no_adapter()
    if reason.startswith("DENIED"):
        message = f"{place}: the system refuses Bluetooth to this program; allow it in the system's settings"
        return TransportError(message, TransportReason.NOT_PERMITTED)
    return TransportError(f"{place}: {text or type(error).__name__}; it is tried again", TransportReason.CLOSED)


def no_bus(error: BaseException) -> TransportError:
    """D-Bus is absent."""
    why = str(error) or type(error).__name__
    message = f"Bluetooth: the system's D-Bus cannot be reached ({why}); install and start dbus"
    return TransportError(message, TransportReason.NOT_FOUND)


def not_running() -> TransportError:
    """D-Bus is there, BlueZ is not."""
    return TransportError(
        "Bluetooth: BlueZ is not running; install the package bluez and run: systemctl enable --now bluetooth",
        TransportReason.NOT_FOUND,
    )


def no_adapter() -> TransportError:
    """BlueZ has no radio."""
    return TransportError("Bluetooth: no adapter for Bluetooth LE is there; plug one in", TransportReason.NOT_FOUND)


def switched_off() -> TransportError:
    """All radios are off."""
    return TransportError(
        "Bluetooth: the adapter is switched off; run: rfkill unblock bluetooth, then: bluetoothctl power on",
        TransportReason.NOT_PERMITTED,
    )


def missing_library(error: ImportError) -> TransportError:
    """The extra is not installed."""
    return TransportError(
        f"Bluetooth: {error.name or 'bleak'} is not installed; install inr-gateway[ble]",
        TransportReason.MISSING_LIBRARY,
    )


def _text(error: BaseException) -> str:
    return " ".join(str(part) for part in error.args) if error.args else ""
