"""`pair`, `bonds`, `unpair`, `meters` and `read` with a Bluetooth meter, as a person runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli.main import main
from simulators.ble.instrument import Instrument
from tests.integration.ble.air import Air, meter, until

HUB = """\
[hub]
id = "hub-1"
zone = "America/New_York"
journal = "{folder}/journal.db"

[[attachment]]
name = "coagulation"
address = "{address}"
driver = "ble_ghs"
profile = "{folder}/ghs.toml"
"""
PROFILE = """\
driver = "ble_ghs"
[bluetooth]
security = "authenticated"
[conversation]
close_when_quiet_s = 0.3
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "ghs.toml").write_text(PROFILE, encoding="utf-8")
    path = tmp_path / "hub.toml"
    path.write_text(HUB.format(folder=tmp_path, address="ble:ghs"), encoding="utf-8")
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command with somebody who answers its questions; its exit status and what it said."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("gateway.cli.pair.MORE_S", 0.3)

    def one(*words: object, answers: Callable[[str], str] = lambda _question: "") -> tuple[int, str, str]:
        monkeypatch.setattr("builtins.input", answers)
        capsys.readouterr()
        status = main([str(word) for word in words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return one


def somebody(instrument: Instrument) -> Callable[[str], str]:
    """Says yes, and types what the meter shows."""

    def answer(question: str) -> str:
        if "shows" in question:
            number: int = until(lambda: instrument.person.shown)
            return f"{number:06d}"
        return "y"

    return answer


def test_pair_list_read_and_unpair(air: Air, config: Path, run: Run) -> None:
    instrument = meter(memory=[{"at": "2026-03-10T07:28:05-04:00", "inr": "2.5"}])
    far = air.add(instrument)
    assert run("bonds", "--config", config) == (0, f"no meter is paired ({config.parent}/journal.bonds.json)\n", "")

    status, said, _ = run("meters", "--config", config, "--seconds", 0.5)
    assert status == 0
    assert f"ble:{far.address}" in said
    assert f"not paired; run: inr-gateway pair {far.address}" in said
    assert f"heard: {far.address}" in said

    status, said, _ = run("pair", "--config", config, "--seconds", 5, answers=somebody(instrument))
    assert status == 0
    assert f"paired     {far.address}  {far.name}" in said
    assert "authenticated: a number was compared or typed" in said
    assert "00001840-0000-1000-8000-00805f9b34fb" in said
    file = config.with_name("journal.bonds.json")
    assert file.stat().st_mode & 0o777 == 0o600

    status, said, _ = run("bonds", "--config", config, "--json")
    assert status == 0
    (bond,) = map(json.loads, said.splitlines())
    assert (bond["address"], bond["security"], bond["keys"]) == (far.address, "authenticated", "kept")
    assert bond["attachments"] == ["coagulation"]
    status, said, _ = run("meters", "--config", config, "--seconds", 0.5)
    assert "paired (authenticated)" in said

    port = ("--address", "ble:ghs", "--driver", "ble_ghs", "--profile", config.with_name("ghs.toml"))
    status, said, _ = run("read", *port, "--config", config, "--seconds", 5)
    assert status == 0
    assert "2.5" in said

    status, said, _ = run("unpair", "--config", config, far.address.lower())
    assert status == 0
    assert "its keys were removed" in said
    assert not air.bluez.bonds
    status, _, complaint = run("unpair", "--config", config, far.address)
    assert status == 1
    assert "is not paired" in complaint


def test_a_meter_that_is_not_paired_is_not_read(air: Air, config: Path, run: Run) -> None:
    far = air.add(meter())
    port = ("--address", f"ble:{far.address}", "--driver", "ble_ghs", "--profile", config.with_name("ghs.toml"))
    status, _, complaint = run("read", *port, "--seconds", 0.5)
    assert status == 1
    assert f"inr-gateway pair {far.address}" in complaint


def test_one_of_several_meters_is_chosen_by_its_number(air: Air, config: Path, run: Run) -> None:
    for serial in ("SN1", "SN2"):
        air.add(meter(meter={"vendor": "INR Simulations", "model": "Sim INR", "serial": serial}))
    wanted = air.meters[1].instrument
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        if "which one" not in question:
            return somebody(wanted)(question)
        return asked_number

    asked_number = "7"
    status, _, _ = run("pair", "--config", config, "--seconds", 5, answers=answer)
    assert status == 1
    assert "[1-2" in asked[0]
    status, _, _ = run("pair", "--config", config, "--seconds", 5, wanted.address, answers=answer)
    assert status == 0
    assert wanted.bonds


def test_what_cannot_be_paired_is_said(air: Air, config: Path, run: Run) -> None:
    status, _, complaint = run("pair", "--config", config, "--seconds", 0.3)
    assert (status, "no meter of the right kind was heard" in complaint) == (1, True)
    weak = meter(security={"requires": "encrypted", "input_output": "nothing"})
    far = air.add(weak)
    status, _, complaint = run("pair", "--config", config, "--seconds", 5, answers=somebody(weak))
    assert status == 1
    assert f"inr-gateway pair {far.address}" in complaint
    assert "no keys were kept" in complaint
    status, said, _ = run("pair", "--config", config, "--seconds", 5, answers=lambda _question: "n")
    assert (status, "nothing was paired" in said) == (1, True)


def test_a_driver_can_be_named_instead_of_a_configuration(air: Air, run: Run, tmp_path: Path) -> None:
    instrument = meter(security={"requires": "encrypted", "input_output": "nothing"})
    air.add(instrument)
    words = ("pair", "--driver", "ble_ghs", "--profile", "ghs_inr", "--seconds", 5)
    status, said, _ = run(*words, answers=somebody(instrument))
    assert status == 0
    assert "without proof" in said
    assert (tmp_path / "state" / "inr-gateway" / "bonds.json").exists()
    assert run("pair", "--driver", "astm", "--profile", "home_inr_astm")[0] == 2
    assert run("pair")[0] == 2


def test_without_bluetooth_every_command_says_what_to_do(
    config: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/bus")
    for words in (("pair", "--config", config), ("unpair", "--config", config, "C0:00:00:00:00:01")):
        status, _, complaint = run(*words)
        assert (status, "install and start dbus" in complaint) == (1, True)
    status, _, complaint = run("meters", "--config", config)
    assert (status, "install and start dbus" in complaint) == (0, True)
