from __future__ import annotations

import pytest

from drivers.errors import DriverError, PairingReason, TransportError, TransportReason
from drivers.transports.ble.errors import att_code, explained, is_in_progress, missing_library

pytest.importorskip("bleak", reason="the extra 'ble' is not installed")

from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
)

METER = "C0:00:00:00:00:01"
OFF = BleakBluetoothNotAvailableReason.POWERED_OFF
NONE = BleakBluetoothNotAvailableReason.NO_BLUETOOTH
DENIED = BleakBluetoothNotAvailableReason.DENIED_BY_SYSTEM


@pytest.mark.parametrize(
    ("error", "reason", "says"),
    [
        (BleakDBusError("org.bluez.Error.AuthenticationFailed", []), PairingReason.BOND_LOST, "inr-gateway unpair"),
        (BleakDBusError("org.bluez.Error.Failed", ["br-connection-key-missing"]), PairingReason.BOND_LOST, METER),
        (BleakDBusError("org.freedesktop.DBus.Error.AccessDenied", ["no"]), TransportReason.NOT_PERMITTED, "group"),
        (BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", []), TransportReason.NOT_FOUND, "systemctl"),
        (BleakDBusError("org.bluez.Error.NotReady", []), TransportReason.NOT_PERMITTED, "power on"),
        (BleakDBusError("org.bluez.Error.InProgress", []), TransportReason.BUSY, "again"),
        (
            BleakDBusError("org.freedesktop.DBus.Error.UnknownObject", []),
            TransportReason.NOT_FOUND,
            "no longer there",
        ),
        (BleakDeviceNotFoundError(METER, "gone"), TransportReason.NOT_FOUND, "no longer there"),
        (BleakBluetoothNotAvailableError("", OFF), TransportReason.NOT_PERMITTED, "rfkill"),
        (BleakBluetoothNotAvailableError("", NONE), TransportReason.NOT_FOUND, "no adapter"),
        (BleakBluetoothNotAvailableError("", DENIED), TransportReason.NOT_PERMITTED, "settings"),
        (BleakError("failed to discover services"), TransportReason.CLOSED, "tried again"),
        (TimeoutError(), TransportReason.TIMED_OUT, "too far away"),
    ],
)
def test_every_failure_has_a_reason_and_says_what_to_do(error: Exception, reason: object, says: str) -> None:
    made = explained(error, METER)
    assert isinstance(made, DriverError)
    assert made.reason is reason
    assert says in str(made)


def test_what_is_explained_already_stays() -> None:
    error = TransportError("x", TransportReason.BUSY)
    assert explained(error, METER) is error


def test_att_codes() -> None:
    assert att_code(BleakGATTProtocolError(0xFE)) == 0xFE
    assert att_code(BleakDBusError("org.bluez.Error.NotPermitted", ["Not paired"])) == 0x05
    assert att_code(BleakError("Not connected")) == 0


def test_in_progress_is_told_from_others() -> None:
    assert is_in_progress(BleakDBusError("org.bluez.Error.InProgress", []))
    assert not is_in_progress(TimeoutError())


def test_a_missing_library_names_the_extra() -> None:
    assert "inr-gateway[ble]" in str(missing_library(ImportError(name="bleak")))
