"""``inr-gateway simulate ble`` as a person meets it: a controller elsewhere, none, and mistakes."""

from __future__ import annotations

import asyncio
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bumble import hci
from bumble.controller import Controller
from bumble.core import UUID
from bumble.device import Device, DeviceConfiguration, Peer
from bumble.link import LocalLink
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import StreamPacketSink, StreamPacketSource

from gateway.cli.main import main
from simulators.ble.bluez import PrivateBus
from simulators.ledger import read
from tests.unit.simulators.command import Command, Run, commands


@pytest.fixture
def command() -> Iterator[Run]:
    with commands() as run:
        yield lambda *words: run("ble", *words)


async def line(command: Command) -> dict[str, Any]:
    """What it says next."""
    return await asyncio.to_thread(command.line)


class Typist(PairingDelegate):
    """The person at the hub, who types what the command printed."""

    def __init__(self, command: Command) -> None:
        super().__init__(PairingDelegate.IoCapability.KEYBOARD_INPUT_ONLY)
        self._command = command

    async def get_number(self) -> int | None:
        return int((await line(self._command))["passkey"])


class Dongle(StreamPacketSource):
    """A controller that somebody reaches over TCP."""

    def __init__(self, link: LocalLink) -> None:
        super().__init__()
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        Controller("dongle", host_source=self, host_sink=StreamPacketSink(transport), link=self._link)


async def test_a_meter_at_a_controller_elsewhere_is_paired_and_read(command: Run, tmp_path: Path) -> None:
    link = LocalLink()  # type: ignore[no-untyped-call]  # bumble's
    ledger = tmp_path / "meter.jsonl"
    async with await asyncio.get_running_loop().create_server(lambda: Dongle(link), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        meter = command(
            *("--hci", f"tcp-client:127.0.0.1:{port}", "--five-weeks", "2026-03-14", "--ledger", ledger),
            *("--passkey", "7", "--fault", "busy:at=1", "--until-delivered"),
        )
        ready = await line(meter)
        assert ready["ready"] == "ble"
        assert ready["tests"] == 8
        own = Controller("hub", link=link)
        configuration = DeviceConfiguration(name="hub", address=hci.Address("C0:00:00:00:00:01"))
        hub = Device.from_config_with_hci(configuration, own, own)
        hub.pairing_config_factory = lambda _: PairingConfig(delegate=Typist(meter))
        await hub.power_on()
        connection = await hub.connect(hci.Address(ready["address"]), timeout=10)
        await connection.pair()
        peer = Peer(connection)
        await peer.request_mtu(247)
        await peer.discover_all()  # type: ignore[no-untyped-call]  # bumble's
        answers: asyncio.Queue[bytes] = asyncio.Queue()
        segments: list[bytes] = []
        (stored,) = peer.get_characteristics_by_uuid(UUID.from_16_bits(0x2BDD))
        (racp,) = peer.get_characteristics_by_uuid(UUID.from_16_bits(0x2A52))
        await stored.subscribe(segments.append)
        await racp.subscribe(answers.put_nowait)
        await racp.write_value(b"\x07\x01", with_response=True)
        assert await answers.get() == b"\x06\x00\x07\x0a"
        await racp.write_value(b"\x07\x01", with_response=True)
        assert await answers.get() == b"\x08\x00" + struct.pack("<I", 8)
        assert len(segments) == 8
        await connection.disconnect()
        assert await line(meter) == {"ended": "ble", "delivered": 8, "unsent": 0}
        assert await asyncio.to_thread(meter.end) == (0, "")
        await hub.power_off()
    assert [line["event"] for line in read(ledger)] == ["holds"] * 8 + ["received"] * 8


async def test_without_a_radio_it_says_which_bus_to_use(command: Run) -> None:
    if not PrivateBus.is_possible():
        pytest.skip("no dbus-daemon on this machine: install the package dbus")
    meter = command("--without-radio", "--live", "0=2.6")
    ready = await line(meter)
    assert ready["dbus"].startswith("unix:path=")
    assert await line(meter) == {"made": 9, "inr": "2.6"}
    assert (await asyncio.to_thread(meter.end, signal.SIGTERM))[0] == 0


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--hci", "serial:/dev/nowhere"), 1, "this controller cannot be used"),
        ((), 2, "--hci"),
        (("--hci", "usb:0", "--fault", "melt:at=1"), 2, "melt"),
        (("--hci", "usb:0", "--passkey", "1234567"), 2, "six digits"),
        (("--hci", "usb:0", "--live", "soon"), 2, "SECONDS=INR"),
        (("--hci", "usb:0", "--scenario", "/nowhere.toml"), 2, "no such file"),
    ],
)
def test_a_mistake_is_named(
    words: tuple[str, ...], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = main(["simulate", "ble", *words])
    except SystemExit as error:  # argparse's
        ended = int(error.code or 0)
    assert ended == status
    assert said in capsys.readouterr().err
