"""Pairing with unmodified bleak, our own agent and a person who reads the meter."""

from __future__ import annotations

import pytest

from drivers.contract import Security
from drivers.errors import PairingError, PairingReason, TransportError, TransportReason
from drivers.protocols.gatt import Read, ReadDone
from drivers.transports.ble.keys import forget, kept
from drivers.transports.ble.pairing import Agreed, pairing
from simulators.ble.instrument import Instrument
from simulators.ble.table import FEATURES, RACP
from tests.integration.ble.air import Air, meter, until
from tests.integration.ble.conftest import TIMING, Accept, Listen, Put
from tests.integration.ble.frames import Frames


class Reader:
    """Holds the meter in one hand and types with the other."""

    def __init__(self, air: Air, instrument: Instrument, *, mistake: int = 0, agrees: bool = True) -> None:
        self._air = air
        self._instrument = instrument
        self._address = next(far.address for far in air.meters if far.instrument is instrument)
        self._mistake = mistake
        self._agrees = agrees
        self.asked: list[str] = []

    def passkey(self, meter: str) -> int | None:
        self.asked.append("passkey")
        assert meter == self._address
        if not self._agrees:
            return None
        shown: int = until(lambda: self._instrument.person.shown, what="the meter to show a number")
        return (shown + self._mistake) % 1_000_000

    def show(self, meter: str, passkey: int) -> None:
        self.asked.append("show")
        assert meter == self._address
        self._air.sync(lambda: self._instrument.person.told.put_nowait(passkey + self._mistake))

    def same(self, meter: str, passkey: int) -> bool:
        self.asked.append("same")
        assert meter == self._address
        return self._agrees and passkey == until(lambda: self._instrument.person.shown)

    def unproven(self, meter: str) -> bool:
        self.asked.append("unproven")
        assert meter == self._address
        return self._agrees


def pair(air: Air, instrument: Instrument, reader: Reader, security: Security) -> Agreed:
    assert air.bluez.address
    with pairing(reader, TIMING) as radio:
        seen = radio.look(5, lambda _seen: True)
        assert [each.advertisement.name for each in seen] == [instrument.name]
        return radio.pair(seen[0].advertisement.address, security)


@pytest.mark.parametrize(("way", "asked"), [("display", "passkey"), ("keyboard", "show"), ("comparison", "same")])
def test_a_number_makes_it_authenticated(air: Air, way: str, asked: str) -> None:
    instrument = meter(security={"requires": "authenticated", "input_output": way})
    air.add(instrument)
    reader = Reader(air, instrument)
    agreed = pair(air, instrument, reader, "authenticated")
    assert agreed.security == "authenticated"
    assert (agreed.address, agreed.name) == (instrument.address, instrument.name)
    assert agreed.link.has(RACP)
    assert reader.asked == [asked]
    assert instrument.bonds == {air.bluez.address: True}
    assert kept() == {instrument.address}
    until(lambda: air.meters[0].is_advertising, what="the meter to be let go")


@pytest.mark.parametrize(("way", "mistake"), [("display", 1), ("keyboard", 1), ("comparison", 0), ("display", 0)])
def test_a_wrong_number_or_none_is_no_pairing(air: Air, way: str, mistake: int) -> None:
    instrument = meter(security={"requires": "authenticated", "input_output": way})
    air.add(instrument)
    with pytest.raises(PairingError) as caught:
        pair(air, instrument, Reader(air, instrument, mistake=mistake, agrees=bool(mistake)), "authenticated")
    assert caught.value.reason is PairingReason.REJECTED
    assert instrument.address in str(caught.value)
    assert not instrument.bonds
    assert kept() == frozenset()


def test_a_downgrade_is_refused(air: Air) -> None:
    instrument = meter(security={"requires": "encrypted", "input_output": "nothing"})
    air.add(instrument)
    reader = Reader(air, instrument)
    with pytest.raises(PairingError) as caught:
        pair(air, instrument, reader, "authenticated")
    assert caught.value.reason is PairingReason.DOWNGRADED
    assert reader.asked == []
    assert kept() == frozenset()
    assert not instrument.bonds


def test_a_downgrade_that_nobody_was_asked_about_is_undone(air: Air, monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = meter(security={"requires": "encrypted", "input_output": "nothing"})
    far = air.add(instrument)

    # BlueZ accepts what it started itself without asking anybody, as newer ones do.
    monkeypatch.setattr(air.bluez.agents, "agent", lambda *_args, **_more: _Yes())
    with pytest.raises(PairingError) as caught:
        pair(air, instrument, Reader(air, instrument), "authenticated")
    assert caught.value.reason is PairingReason.DOWNGRADED
    assert kept() == frozenset()
    until(lambda: far.is_advertising)


class _Yes:
    capability = "NoInputNoOutput"

    async def authorize(self) -> None: ...

    async def cancel(self) -> None: ...


@pytest.mark.parametrize("agrees", [True, False])
def test_a_pairing_without_proof_needs_a_yes(air: Air, agrees: bool) -> None:
    instrument = meter(security={"requires": "encrypted", "input_output": "nothing"})
    air.add(instrument)
    reader = Reader(air, instrument, agrees=agrees)
    if agrees:
        assert pair(air, instrument, reader, "encrypted").security == "encrypted"
        assert instrument.bonds == {air.bluez.address: False}
    else:
        with pytest.raises(PairingError):
            pair(air, instrument, reader, "encrypted")
        assert kept() == frozenset()
    assert reader.asked == ["unproven"]


def test_a_private_address_is_known_by_its_identity_once_paired(
    air: Air, listen: Listen, accepted: Accept, put: Put
) -> None:
    instrument = meter(radio={"private": True})
    far = air.add(instrument)
    assert far.address != instrument.address
    listener = listen(f"ble:{instrument.address}", "authenticated")
    agreed = pair(air, instrument, Reader(air, instrument), "authenticated")
    assert agreed.address == instrument.address
    put(agreed.address, agreed.security)
    transport = accepted(listener)
    assert transport.peer == f"ble:{instrument.address}"
    frames = Frames(transport)
    frames.next()
    frames.next()
    assert isinstance(frames.ask(Read(FEATURES)), ReadDone)


def test_a_downgrade_of_a_private_address_is_undone(air: Air, monkeypatch: pytest.MonkeyPatch) -> None:
    instrument = meter(radio={"private": True}, security={"requires": "encrypted", "input_output": "nothing"})
    air.add(instrument)
    monkeypatch.setattr(air.bluez.agents, "agent", lambda *_args, **_more: _Yes())
    with pytest.raises(PairingError) as caught:
        pair(air, instrument, Reader(air, instrument), "authenticated")
    assert caught.value.reason is PairingReason.DOWNGRADED
    assert kept() == frozenset()


def test_old_keys_are_replaced(air: Air) -> None:
    instrument = meter()
    air.add(instrument, bonded=True, authenticated=False)
    agreed = pair(air, instrument, Reader(air, instrument), "authenticated")
    assert agreed.security == "authenticated"
    assert instrument.bonds == {air.bluez.address: True}
    assert air.called("RemoveDevice") == 1


def test_a_meter_that_is_gone_is_named(air: Air) -> None:
    instrument = meter()
    far = air.add(instrument)
    with pairing(Reader(air, instrument), TIMING) as radio:
        with pytest.raises(TransportError) as caught:
            radio.pair("C0:00:00:00:00:07", "authenticated")
        assert caught.value.reason is TransportReason.NOT_FOUND
        radio.look(5, lambda _seen: True)
        air.sync(lambda: air.bluez.fail("Connect", "Failed", "Host is down", times=100))
        with pytest.raises(TransportError, match=f"{far.address}.*Host is down.*inr-gateway pair") as caught:
            radio.pair(far.address, "authenticated", within_s=0.3)
        assert caught.value.reason is TransportReason.CLOSED
    assert 2 <= air.called("Connect") < 100
    assert kept() == frozenset()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("Connect", "Failed"),
        ("Pair", "ConnectionAttemptFailed"),
        ("Pair", "AuthenticationCanceled"),  # BlueZ's word for a link that was lost, too
    ],
)
def test_a_connection_that_breaks_before_the_pairing_begins_is_tried_again(air: Air, call: str, error: str) -> None:
    instrument = meter()
    air.add(instrument)
    air.sync(lambda: air.bluez.fail(call, error, "the link was lost", times=2))
    reader = Reader(air, instrument)
    assert pair(air, instrument, reader, "authenticated").security == "authenticated"
    assert reader.asked == ["passkey"]
    assert instrument.bonds == {air.bluez.address: True}


def test_a_pairing_that_had_begun_is_not_tried_again(air: Air) -> None:
    instrument = meter()
    far = air.add(instrument)

    class Walker(Reader):
        """Goes out of range while the number is asked for."""

        def passkey(self, meter: str) -> int | None:
            self.asked.append("passkey")
            air.sync(far.drop)
            return None

    reader = Walker(air, instrument)
    with pytest.raises(PairingError) as caught:
        pair(air, instrument, reader, "authenticated")
    assert caught.value.reason is PairingReason.REJECTED
    assert reader.asked == ["passkey"]
    assert air.called("Pair") == 1


def test_paired_then_read_by_the_hub(air: Air, listen: Listen, accepted: Accept, put: Put) -> None:
    instrument = meter()
    air.add(instrument)
    listener = listen("ble:ghs", "authenticated")
    until(lambda: listener.troubles)
    agreed = pair(air, instrument, Reader(air, instrument), "authenticated")
    put(agreed.address, agreed.security)
    frames = Frames(accepted(listener))
    frames.next()
    frames.next()
    assert isinstance(frames.ask(Read(FEATURES)), ReadDone)


def test_keys_are_forgotten(air: Air) -> None:
    instrument = meter()
    air.add(instrument, bonded=True)
    air.stop()
    air.start()  # BlueZ shows what it has keys for from its start on
    assert kept() == {instrument.address}
    assert forget(instrument.address)
    assert kept() == frozenset()
    assert not forget(instrument.address)


def test_without_bluetooth_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/bus")
    with pytest.raises(TransportError, match="install and start dbus"), pairing(None, TIMING):
        pass
    with pytest.raises(TransportError, match="install and start dbus"):
        kept()
