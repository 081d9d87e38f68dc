"""``inr-gateway simulate ble``: a Bluetooth meter on a real controller, or behind a BlueZ that does not exist."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway.cli.simulate.instruments import memory_arguments, weeks
from gateway.cli.simulate.reading import number, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulators.ble.dialect import Fault
    from simulators.ble.instrument import Instrument
    from simulators.ble.scenario import BleScenario
    from simulators.ledger import Ledger

__all__ = ["add_arguments", "run"]

_WORDS = """\
A home INR meter with a memory of tests that speaks Bluetooth LE as a Generic Health Sensor (service 1840). It
advertises, shows a passkey when it is paired, and gives its memory to a hub that asks.

--hci names the Bluetooth controller, as bumble does; it must not be in use by the system (bluetoothctl power off):
  usb:0 or usb:0A12:0001          a dongle by number or identifiers
  hci-socket:0                    a controller of the kernel that is down (as root)
  serial:/dev/ttyACM0,1000000     a controller at a serial port
  tcp-client:HOST:PORT, ...       a controller somewhere else
  vhci                            none: a virtual adapter for this machine's own BlueZ, with the meter in its range
--without-radio needs none: it answers bleak in place of BlueZ, on a D-Bus of its own. The line it prints names the
bus; start the hub with DBUS_SYSTEM_BUS_ADDRESS set to it.

It prints JSON lines: that it is ready, each passkey it shows, and at the end what was delivered. "Delivered" is
what the hub's radio confirmed. If the scenario's meter has keys, type on standard input what the hub shows.

--fault KIND:at=N, any number of times; segments and requests are counted from 1, each fault happens once:
  drop, drop_after, lose, duplicate, reorder, wrong_counter:at=SEGMENT    slow:at=SEGMENT,seconds=S
  bad_length:at=OBSERVATION     busy, silent, not_completed, wrong_count, abort_fails:at=REQUEST
  bond_lost:at=CONNECTION

'pydoc simulators.ble.scenario' and 'pydoc simulators.ble.dialect' show what a scenario file holds.

examples:
  inr-gateway simulate ble --hci usb:0 --five-weeks 2026-03-14
  inr-gateway simulate ble --without-radio --passkey 123456 --live 30=2.6
"""
_ANSWERS_WITHIN_S: Final = 15.0
_LOOKS_EVERY_S: Final = 0.2


class Mounted(Protocol):
    """A meter that hubs can reach."""

    @property
    def is_connected(self) -> bool:
        """Whether one does."""


class _NoAirError(Exception):
    """The meter cannot be put on the air; the message says why and what helps."""


def add_arguments(what: Any) -> None:
    """Declare the meter; `what` is argparse's collection of sub-commands."""
    parser: argparse.ArgumentParser = what.add_parser(
        "ble",
        help="a home INR meter that speaks Bluetooth LE",
        description=_WORDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--hci", metavar="CONTROLLER", help="be at this Bluetooth controller")
    where.add_argument("--without-radio", action="store_true", help="be behind a simulated BlueZ instead")
    memory_arguments(parser)
    parser.add_argument(
        "--dialect", choices=("st", "philips"), help="which server it is like; scenarios say it all"
    )
    parser.add_argument("--passkey", metavar="NUMBER", type=_passkey, help="always this one; default: any")
    parser.add_argument("--bonds", metavar="FILE", type=Path, help="keep the keys here (with --hci)")
    parser.add_argument(
        "--live", metavar="SECONDS=INR", type=_live, action="append", default=[], help="make a test so much later"
    )
    parser.add_argument("--fault", metavar="FAULT", type=_fault, action="append", default=[], help="see above")


def run(arguments: argparse.Namespace) -> int:
    """Be a meter until everything is delivered or SIGTERM comes."""
    from simulators.ledger import Ledger

    ledger = Ledger(arguments.ledger)
    try:
        return asyncio.run(_be(arguments, ledger))
    except _NoAirError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        ledger.close()


async def _be(arguments: argparse.Namespace, ledger: Ledger) -> int:
    from simulators.ble.instrument import Instrument

    instrument = Instrument(_scenario(arguments), ledger, _person())
    stop = asyncio.Event()
    for which in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(which, stop.set)
    mount = _simulated_bluez if arguments.without_radio else _controller
    async with mount(arguments, instrument) as mounted:
        live = [asyncio.ensure_future(_make(instrument, *each)) for each in arguments.live]
        is_over = False
        while not stop.is_set() and not is_over:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOKS_EVERY_S)
            is_done = not instrument.unsent and all(task.done() for task in live)
            is_over = arguments.until_delivered and is_done and not mounted.is_connected
        for task in live:
            task.cancel()
    say({"ended": "ble", "delivered": len(instrument.sent), "unsent": len(instrument.unsent)})
    return 1 if arguments.until_delivered and instrument.unsent else 0


@contextlib.asynccontextmanager
async def _simulated_bluez(_: argparse.Namespace, instrument: Instrument) -> AsyncIterator[Mounted]:
    try:
        from simulators.ble.bluez import Direct, FakeBlueZ, PrivateBus
    except ImportError as error:
        raise _NoAirError(f"--without-radio needs dbus-fast: pip install 'inr-gateway[ble]' ({error})") from None
    if not PrivateBus.is_possible():
        raise _NoAirError("--without-radio needs the program dbus-daemon; install the package dbus")
    with PrivateBus() as bus:
        far = Direct(instrument)
        bluez = FakeBlueZ([far])
        await bluez.start(bus.address)
        _ready(instrument, dbus=bus.address)
        try:
            yield far
        finally:
            await bluez.stop()


@contextlib.asynccontextmanager
async def _controller(arguments: argparse.Namespace, instrument: Instrument) -> AsyncIterator[Mounted]:
    try:
        from bumble.link import LocalLink
        from bumble.transport import open_transport

        from simulators.ble.peripheral import Peripheral, virtual_adapter
    except ImportError as error:
        raise _NoAirError(f"--hci needs bumble: pip install 'inr-gateway[rig]' ({error})") from None
    name = arguments.hci
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                transport = await stack.enter_async_context(await open_transport(name))
                keystore = f"JsonKeyStore:{arguments.bonds}" if arguments.bonds else None
                if name.partition(":")[0] == "vhci":
                    link = LocalLink()  # type: ignore[no-untyped-call]  # bumble's
                    virtual_adapter(transport.source, transport.sink, link)
                    peripheral = Peripheral.on_link(instrument, link, keystore=keystore)
                else:
                    peripheral = Peripheral(instrument, transport.source, transport.sink, keystore=keystore)
                await peripheral.switch_on()
        except TimeoutError:
            raise _NoAirError(
                f"{name}: no controller answers within {_ANSWERS_WITHIN_S:g} s; is it the right one?"
            ) from None
        except Exception as error:  # bumble raises what its many transports raise
            raise _NoAirError(f"{name}: this controller cannot be used: {_why(error)}") from error
        _ready(instrument, hci=name)
        try:
            yield peripheral
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ANSWERS_WITHIN_S):
                    await peripheral.switch_off()


def _why(error: Exception) -> str:
    said = str(error) or type(error).__name__
    if isinstance(error, PermissionError):
        return f"{said}; run as root, or give yourself the device (udev)"
    if "busy" in said.lower():
        return f"{said}; the system uses it: 'bluetoothctl power off', or unbind its driver"
    return f"{said}; 'inr-gateway simulate ble --help' shows how controllers are named"


def _ready(instrument: Instrument, **where: str) -> None:
    say(
        {
            "ready": "ble",
            **where,
            "address": instrument.address,
            "name": instrument.name,
            "serial": instrument.meter.identity.serial,
            "tests": len(instrument.meter.memory),
        }
    )


def _scenario(arguments: argparse.Namespace) -> BleScenario:
    from simulators.ble.dialect import DIALECTS
    from simulators.ble.scenario import BleScenario, load

    if arguments.scenario:
        scenario = load(arguments.scenario)
    else:
        story = weeks(arguments)
        scenario = BleScenario(starts=story.starts, meter=story.meter, clock=story.clock, memory=story.memory)
    changed: dict[str, object] = {"faults": (*scenario.faults, *arguments.fault)}
    if arguments.dialect:
        changed["dialect"] = DIALECTS[arguments.dialect]
    if arguments.passkey is not None:
        changed["security"] = scenario.security.model_copy(update={"passkey": arguments.passkey})
    return scenario.model_copy(update=changed)


def _person() -> Any:
    """Whoever sits at the terminal: the meter's display is standard output, its keys are standard input."""
    from simulators.ble.instrument import Person

    class PersonAtTerminal(Person):
        async def sees(self, passkey: int) -> None:
            await super().sees(passkey)
            say({"passkey": f"{passkey:06d}"})

        async def types(self) -> int:
            say({"asks": "the passkey that the hub shows"})
            return _digits(await _line())

        async def compares(self, number: int) -> bool:
            say({"asks": "is the number the same at the hub? yes or no", "number": f"{number:06d}"})
            return (await _line()).strip().lower() in ("y", "yes")

    return PersonAtTerminal()


async def _line() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def _digits(text: str) -> int:
    return int(text) if text.strip().isdecimal() else -1


async def _make(instrument: Instrument, after_s: float, inr: str) -> None:
    from simulators.meter import Entry

    await asyncio.sleep(after_s)
    test = instrument.make(Entry(at=instrument.present, inr=inr))
    say({"made": test.ordinal + 1, "inr": inr})


def _passkey(text: str) -> int:
    if not text.isdecimal() or len(text) > 6:
        raise argparse.ArgumentTypeError(f"{text!r} is no passkey; write up to six digits")
    return int(text)


def _live(text: str) -> tuple[float, str]:
    seconds, equals, inr = text.partition("=")
    if not equals or not inr:
        raise argparse.ArgumentTypeError(f"{text!r}: write SECONDS=INR, for example 30=2.6")
    return number(seconds), inr


def _fault(text: str) -> Fault:
    from simulators.ble.dialect import Fault

    try:
        return Fault.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
