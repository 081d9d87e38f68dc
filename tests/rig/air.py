"""The air of the rig: this kernel's Bluetooth and the real bluetoothd on one side, simulated meters on the other.

Two software controllers share one link without radio: one is plugged into /dev/vhci, where the kernel takes it for
an adapter; the other carries the meter.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bumble import hci, ll
from bumble.controller import Controller
from bumble.link import LocalLink
from bumble.transport import open_transport
from bumble.transport.common import Transport
from dbus_fast import Variant

from drivers.transports.ble.bluez import ADAPTER, BlueZ, DBusError
from simulators.ble.dialect import Fault, Security
from simulators.ble.instrument import Instrument
from simulators.ble.peripheral import Peripheral
from simulators.ble.scenario import BleScenario
from simulators.ledger import Ledger
from simulators.scenario import Scenario
from tests.rig.meters import STORY, until

__all__ = ["Air", "AtTheHub", "meter"]

T = TypeVar("T")

_PROGRAMS = "/usr/libexec/bluetooth:/usr/lib/bluetooth:/usr/sbin:/usr/bin"
_ADAPTER = "00:00:5E:00:53:01"
"""A public address, as real adapters have."""
_FEATURES_S = 0.1
_BONDS = Path("/var/lib/bluetooth")


def meter(security: Security | None = None, faults: Sequence[Fault] = (), story: Scenario = STORY) -> Instrument:
    """A meter with a serial number, and so an address, that no test before had."""
    scenario = BleScenario(
        meter=story.meter.model_copy(update={"serial": secrets.token_hex(4).upper()}),
        clock=story.clock,
        starts=story.starts,
        memory=story.memory,
        security=security or Security(),
        faults=tuple(faults),
    )
    return Instrument(scenario, Ledger())


class _Link(LocalLink):
    """The link between the two controllers, with two things that bumble 0.0.236 leaves out.

    Data come from the address that a link was made with. Bumble takes the sender's latest random address; Linux has
    a new one for each scan, also while a link is up, and the far end would not know where the data belong.

    The exchange of features takes its time. A radio needs some connection intervals for it, and only then is a link
    ready for data. Here it would be ready at once; bluetoothd 5.66 sometimes hears of that before it hears of the
    link itself, and then never tells anybody that the device is connected.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # bumble's

    def send_acl_data(
        self, sender_controller: Controller, destination_address: hci.Address, transport: Any, data: bytes
    ) -> None:
        """Deliver data."""
        connection = sender_controller.le_connections.get(destination_address)
        receiver = self.find_le_controller(destination_address)
        if connection is not None and receiver is not None:
            own = connection.self_address
            asyncio.get_running_loop().call_soon(receiver.on_link_acl_data, own, transport, data)

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """Deliver what the controllers say to each other."""
        receiver = self.find_le_controller(receiver_address)
        loop = asyncio.get_running_loop()
        if receiver is not None and isinstance(packet, ll.FeatureReq):
            loop.call_later(_FEATURES_S, receiver.on_ll_control_pdu, sender_address, packet)
        elif receiver is not None:
            loop.call_soon(receiver.on_ll_control_pdu, sender_address, packet)


class Air:
    """`do` runs something in the loop that carries both controllers, and waits."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="air", daemon=True)
        self._thread.start()
        self.link = self.do(self._made())
        self._adapter: tuple[Transport, Controller] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self._meters: list[Peripheral] = []

    async def _made(self) -> LocalLink:
        return _Link()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self) -> None:
        for each in self._meters:
            self.do(each.switch_off())
        if self._daemon is not None:
            self.stop_bluetoothd()
        if self._adapter is not None:
            self.pull_adapter()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for kept in _BONDS.iterdir():
            if kept.is_dir():
                shutil.rmtree(kept)
            else:
                kept.unlink()

    # ---------------------------------------------------------------- the hub's side

    def start_bluetoothd(self) -> None:
        program = shutil.which("bluetoothd", path=_PROGRAMS)
        assert program is not None, "no bluetoothd: install the package bluez"
        with Path("/mnt/bluetoothd.log").open("ab") as log:
            self._daemon = subprocess.Popen([program, "-n"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop_bluetoothd(self, *, is_crash: bool = False) -> None:
        assert self._daemon is not None
        (self._daemon.kill if is_crash else self._daemon.terminate)()
        self._daemon.wait(20)
        self._daemon = None

    def plug_adapter(self) -> None:
        """Put an adapter into this machine and wait until BlueZ has switched it on."""

        async def plug() -> tuple[Transport, Controller]:
            vhci = await open_transport("vhci")
            controller = Controller(
                "adapter", host_source=vhci.source, host_sink=vhci.sink, link=self.link, public_address=_ADAPTER
            )
            # With these the kernel insists on the enhanced connection event, which bumble does not send.
            unknown = hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
            controller.le_features &= ~unknown
            return vhci, controller

        self._adapter = self.do(plug())
        self.power(is_on=True)

    def pull_adapter(self) -> None:
        assert self._adapter is not None
        vhci, controller = self._adapter
        self._adapter = None

        async def pull() -> None:
            for connection in controller.le_connections.values():  # no radio: nobody would notice the silence
                connection.send_ll_control_pdu(ll.TerminateInd(hci.HCI_CONNECTION_TIMEOUT_ERROR))
            await vhci.close()
            self.link.remove_controller(controller)

        self.do(pull())

    def power(self, *, is_on: bool) -> None:
        """Switch the adapter on or off; waits for BlueZ to be there."""
        until(lambda: self.do(_powered(is_on=is_on)), f"the adapter {'on' if is_on else 'off'}")

    # ---------------------------------------------------------------- the meters' side

    def add(self, instrument: Instrument) -> Peripheral:
        """Switch a meter on within reach."""

        async def put() -> Peripheral:
            peripheral = Peripheral.on_link(instrument, self.link)
            await peripheral.switch_on()
            return peripheral

        self._meters.append(self.do(put()))
        return self._meters[-1]

    def wait_until_free(self, instrument: Instrument) -> None:
        """A meter that was just paired, or was not, lets go of its link a moment later."""
        (peripheral,) = [each for each in self._meters if each.instrument is instrument]
        until(lambda: peripheral.device.is_advertising, "the meter to advertise again")


class AtTheHub:
    """A person who sees both the meter and the hub's terminal (`drivers.transports.ble.agent.Person`)."""

    def __init__(self, air: Air, instrument: Instrument, *, mistypes: bool = False) -> None:
        self._air = air
        self._instrument = instrument
        self._mistypes = mistypes
        self.asked: list[str] = []

    def passkey(self, meter: str) -> int | None:
        """Read from the meter's display."""
        self.asked.append("passkey")
        assert meter == self._instrument.address
        until(lambda: self._instrument.person.shown is not None, "a passkey on the meter")
        shown = self._instrument.person.shown or 0
        return (shown + 1) % 1_000_000 if self._mistypes else shown

    def show(self, meter: str, passkey: int) -> None:
        """Type it into the meter."""
        self.asked.append("show")
        assert meter == self._instrument.address
        self._air.do(self._instrument.person.told.put(passkey))

    def same(self, meter: str, passkey: int) -> bool:
        """Compare."""
        self.asked.append("same")
        assert meter == self._instrument.address
        until(lambda: self._instrument.person.shown is not None, "a number on the meter")
        return passkey == self._instrument.person.shown

    def unproven(self, meter: str) -> bool:
        """Agree."""
        self.asked.append("unproven")
        assert meter == self._instrument.address
        return True


async def _powered(*, is_on: bool) -> bool:
    bluez = await BlueZ.opened()
    try:
        adapters = await bluez.adapters()
        for adapter in adapters:
            arguments = (ADAPTER, "Powered", Variant("b", is_on))
            await bluez.call(adapter.path, "org.freedesktop.DBus.Properties", "Set", "ssv", *arguments)
        return bool(adapters) and all(each.powered is is_on for each in await bluez.adapters())
    except DBusError:  # it is not there yet
        return False
    finally:
        await bluez.close()
