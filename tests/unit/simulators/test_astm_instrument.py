"""The whole instrument against a host of the tests' own: over a real pty with pyserial, and over real sockets."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import serial

from simulators.astm.instrument import Instrument
from simulators.ledger import Ledger, read
from simulators.mounts.link import Link
from simulators.mounts.pty import Pty
from simulators.mounts.tcp import Dialer, Listener
from simulators.scenario import Scenario, five_weeks

from .host import WITHIN_S, Host, Running, read_frame

Eventually = Callable[[Callable[[], object]], None]
ACK, NAK = b"\x06", b"\x15"
NUMBERS = [str(number) for number in range(1, 9)]


def scenario(**parts: Any) -> Scenario:
    made = five_weeks(date(2026, 3, 14)).model_dump(by_alias=True)
    return Scenario.model_validate({**made, **parts})


def numbers(*texts: bytes) -> list[str]:
    """Record numbers in the order of arrival."""
    return [number.decode() for text in texts for number in re.findall(rb"O\|1\|(\d+)\|", text)]


@contextmanager
def opened(path: Path) -> Iterator[Host]:
    with serial.Serial(str(path), 9600, timeout=0.05) as port:
        yield Host(lambda: port.read(max(1, port.in_waiting)), port.write)


@contextmanager
def dialled(address: tuple[str, int]) -> Iterator[Host]:
    with socket.create_connection(address, timeout=WITHIN_S) as connected:
        yield Host(lambda: connected.recv(4096), connected.sendall)


def test_five_weeks_travel_over_a_pty_and_the_ledger_says_so(tmp_path: Path, running: Running) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    instrument = Instrument(scenario(), ledger)
    mount = Pty(tmp_path / "meter")
    mount.plug_in()
    work = running.start(instrument, mount)
    with opened(tmp_path / "meter") as host:
        texts = [host.message() for _ in NUMBERS]
        work.join(WITHIN_S)
    assert numbers(*texts) == NUMBERS
    assert texts[3].count(b"|>8.0|") == 1
    assert [read_frame(frame)[0] for frame in host.frames[:8]] == [1, 2, 3, 4, 5, 6, 7, 0]
    assert instrument.unsent == ()
    assert [line["entries"] for line in read(tmp_path / "ledger.jsonl") if line["event"] == "received"] == [
        [ordinal] for ordinal in range(8)
    ]
    assert not (tmp_path / "meter").is_symlink()
    ledger.close()


def test_received_is_on_disk_before_the_next_octet_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    really = os.fsync

    def fsync(file: int) -> None:
        really(file)
        happened.append("fsync")

    monkeypatch.setattr(os, "fsync", fsync)

    class Recorded(Link):
        """A host that acknowledges at once."""

        def __init__(self) -> None:
            self.reply = b""

        def read(self, timeout_s: float) -> bytes:
            assert timeout_s >= 0
            reply, self.reply = self.reply, b""
            return reply

        def write(self, octets: bytes, stop: Event) -> None:
            assert not stop.is_set()
            last = octets[:1] == b"\x02" and octets[2:3] == b"L"
            happened.append("last frame" if last else "EOT" if octets == b"\x04" else "")
            self.reply = b"" if octets == b"\x04" else ACK

        def close(self) -> None:
            pass

    class Mounted:
        def plug_in(self) -> dict[str, str]:
            return {}

        def wait(self, stop: Event) -> Link | None:
            return None if stop.is_set() else Recorded()

        def unplug(self) -> None:
            pass

    ledger = Ledger(tmp_path / "ledger.jsonl")
    Instrument(scenario(), ledger).run(Mounted(), Event(), until_delivered=True)
    ledger.close()
    story = [what for what in happened[happened.index("last frame") :] if what]
    assert story == ["last frame", "fsync", "EOT"] * 8


def test_the_host_may_close_the_port_and_come_back(
    tmp_path: Path, running: Running, eventually: Eventually
) -> None:
    ledger = Ledger()
    instrument = Instrument(scenario(), ledger)
    mount = Pty(tmp_path / "meter")
    mount.plug_in()
    running.start(instrument, mount)
    with opened(tmp_path / "meter") as host:
        first = [host.message(), host.message()]
        host.enquiry()
        host.one_frame()  # and away, without an answer
    eventually(lambda: ledger.lines[-1]["event"] == "gave_up")
    with opened(tmp_path / "meter") as host:
        rest = [host.message() for _ in NUMBERS[2:]]
    assert numbers(*first, *rest) == NUMBERS


def test_the_cable_is_pulled_and_put_back_under_the_same_path(
    tmp_path: Path, running: Running, eventually: Eventually
) -> None:
    path = tmp_path / "meter"
    faults = [{"kind": "unplug", "octet": 500, "seconds": 0.3}]
    instrument = Instrument(scenario(faults=faults), Ledger())
    mount = Pty(path)
    mount.plug_in()
    running.start(instrument, mount)
    taken: list[bytes] = []

    def take_until_unplugged(host: Host) -> None:
        while len(taken) < len(NUMBERS):
            taken.append(host.message())

    with opened(path) as host, pytest.raises((serial.SerialException, OSError)):
        take_until_unplugged(host)
    assert 0 < len(taken) < 8
    # The path went away before the hang-up, so what stands there now is a new device.
    eventually(path.exists)
    with opened(path) as host:
        take_until_unplugged(host)
    assert numbers(*taken) == NUMBERS


def test_a_link_left_by_a_killed_simulator_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "meter"
    path.symlink_to("/dev/pts/999999")
    mount = Pty(path)
    address = mount.plug_in()
    assert address == {"pty": str(path), "device": str(path.readlink())}
    assert path.exists()
    mount.unplug()
    path.write_text("precious")
    with pytest.raises(ValueError, match="is no symbolic link"):
        Pty(path)


def test_a_listening_meter_serves_one_host_after_another(running: Running) -> None:
    mount = Listener("127.0.0.1", 0)
    address = ("127.0.0.1", int(mount.plug_in()["port"]))
    instrument = Instrument(scenario(), Ledger())
    work = running.start(instrument, mount)
    with dialled(address) as host:
        first = [host.message() for _ in range(3)]
    with dialled(address) as host:
        rest = [host.message() for _ in range(5)]
        work.join(WITHIN_S)
    assert numbers(*first, *rest) == NUMBERS
    assert instrument.unsent == ()


def test_a_dialling_meter_calls_until_the_host_is_there(running: Running) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    work = running.start(Instrument(scenario(), Ledger()), Dialer("127.0.0.1", port))
    with socket.create_server(("127.0.0.1", port)) as listening:
        listening.settimeout(WITHIN_S)
        connected, _ = listening.accept()
        with connected:
            connected.settimeout(WITHIN_S)
            host = Host(lambda: connected.recv(4096), connected.sendall)
            assert numbers(*(host.message() for _ in NUMBERS)) == NUMBERS
            work.join(WITHIN_S)


@contextmanager
def served(running: Running, made: Scenario, ledger: Ledger | None = None) -> Iterator[Host]:
    mount = Listener("127.0.0.1", 0)
    address = ("127.0.0.1", int(mount.plug_in()["port"]))
    running.start(Instrument(made, ledger or Ledger()), mount)
    with dialled(address) as host:
        yield host


def test_a_refused_frame_is_repeated(running: Running) -> None:
    with served(running, scenario()) as host:
        text = host.message(iter([ACK, NAK, NAK]))
    assert numbers(text) == ["1"]
    assert [read_frame(frame)[0] for frame in host.frames[:5]] == [1, 2, 2, 2, 3]


def test_a_message_refused_for_good_is_offered_again_later(running: Running) -> None:
    timers = {"retry_s": 0.1}
    ledger = Ledger()
    with served(running, scenario(timers=timers), ledger) as host:
        host.message(iter([NAK] * 6))
        text = host.message()
    assert numbers(text) == ["1"]
    assert [read_frame(frame)[0] for frame in host.frames[:7]] == [1, 1, 1, 1, 1, 1, 1]
    assert [line["reason"] for line in ledger.lines if line["event"] == "gave_up"][:1] == [
        "frame 1 refused 6 times"
    ]


def test_a_bad_checksum_a_cut_frame_and_garbage_are_made_good_by_repetition(running: Running) -> None:
    faults = [
        {"kind": "bad_checksum", "frame": 2},
        {"kind": "garbage", "frame": 5, "octets": "00ff"},
        {"kind": "drop", "octet": 150},
        {"kind": "delay", "frame": 6, "seconds": 0.01},
    ]
    with served(running, scenario(faults=faults)) as host:
        texts = [host.message() for _ in NUMBERS]
    assert numbers(*texts) == NUMBERS
    assert len(host.refused) == 2


def test_a_duplicated_frame_arrives_twice_with_the_same_number(running: Running) -> None:
    with served(running, scenario(faults=[{"kind": "duplicate", "frame": 2}])) as host:
        assert numbers(host.message()) == ["1"]
    assert [read_frame(frame)[0] for frame in host.frames[:4]] == [1, 2, 2, 3]
    assert host.frames[1] == host.frames[2]


def test_a_dropped_frame_ends_the_message_after_the_timer_and_it_comes_again(running: Running) -> None:
    made = scenario(faults=[{"kind": "drop", "frame": 3}], timers={"reply_s": 0.3, "retry_s": 0.1})
    with served(running, made) as host:
        broken, whole = host.message(), host.message()
    assert b"L|1|N" not in broken
    assert whole.startswith(broken.split(b"\r", maxsplit=1)[0])
    assert numbers(whole) == ["1"]


@pytest.mark.parametrize(("resume", "goes_on_with"), [(True, 3), (False, 1)])
def test_after_a_broken_connection_it_goes_on_or_starts_anew(
    running: Running, resume: bool, goes_on_with: int
) -> None:
    mount = Listener("127.0.0.1", 0)
    address = ("127.0.0.1", int(mount.plug_in()["port"]))
    running.start(Instrument(scenario(dialect={"resume": resume}), Ledger()), mount)
    with dialled(address) as host:
        host.enquiry()
        for expected in (1, 2):
            assert read_frame(host.one_frame())[0] == expected
            host.answer(ACK)
        assert read_frame(host.one_frame())[0] == 3
    with dialled(address) as host:
        host.enquiry()
        assert read_frame(host.one_frame())[0] == goes_on_with


def test_a_bare_dialect_sends_the_whole_memory_in_one_frame_without_enq(running: Running) -> None:
    dialect = {"establishment": False, "framing": "message", "grouping": "memory"}
    ledger = Ledger()
    with served(running, scenario(dialect=dialect), ledger) as host:
        number, text, more = read_frame(host.one_frame())
        host.answer(ACK)
        assert (number, more) == (1, False)
        assert numbers(text) == NUMBERS


def test_a_meter_that_does_not_remember_sends_everything_to_each_host(running: Running) -> None:
    mount = Listener("127.0.0.1", 0)
    address = ("127.0.0.1", int(mount.plug_in()["port"]))
    instrument = Instrument(scenario(dialect={"sent_once": False}), Ledger())
    running.start(instrument, mount, until_delivered=False)
    for _ in range(2):
        with dialled(address) as host:
            assert numbers(*(host.message() for _ in NUMBERS)) == NUMBERS


def test_the_meters_present_starts_where_the_scenario_says(running: Running) -> None:
    with served(running, scenario(clock={"kind": "offset", "offset_s": -3600.0})) as host:
        header = host.message().split(b"\r")[0]
    assert header.split(b"|")[13].startswith(b"202603141100")
