"""``inr-gateway read``, ``capture`` and ``replay``: one conversation with a meter on a real pty or socket."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from pathlib import Path

import pytest

from drivers import registry
from gateway.cli.main import main
from simulators.mounts.pty import Pty
from simulators.mounts.tcp import Dialer, Listener
from tests.unit.drivers.simulated import SCENARIO, at_work

ASTM = ("--driver", "astm", "--profile", "home_inr_astm")
ACK = b"\x06"


def lines_to_meter(capture: Path) -> list[bytes]:
    parted = [line.split(" ") for line in capture.read_text().splitlines() if not line.startswith("#")]
    return [bytes.fromhex(words[2]) for words in parted if words[1] == ">"]


def test_nothing_is_acknowledged_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port, keep = tmp_path / "meter", tmp_path / "kept.capture"
    mount = Pty(port)
    mount.plug_in()
    with at_work(mount) as instrument:
        status = main(["read", "--address", str(port), *ASTM, "--keep", str(keep), "--seconds", "5"])
        assert instrument.delivered == ()
    captured = capsys.readouterr()
    assert status == 0
    assert "H|\\\\^&" in captured.out
    assert "nothing was acknowledged" in captured.err
    assert lines_to_meter(keep) == [ACK]  # of the ENQ, which says nothing of a result


def test_the_whole_memory_is_on_disk_before_it_is_acknowledged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, keep = tmp_path / "meter", tmp_path / "kept.capture"
    synced: list[str] = []
    acknowledged: list[bytes] = []
    real_fsync, real_write = os.fsync, registry.CapturingTransport.write

    def fsync(descriptor: int) -> None:
        real_fsync(descriptor)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            synced.append(keep.read_text())

    def write(self: registry.CapturingTransport, octets: bytes) -> None:
        if octets == ACK:
            acknowledged.append(octets)
            enquiries = len(re.findall(r" < (?:04)?05\n", keep.read_text()))
            frames = len(acknowledged) - enquiries
            assert synced[-1].count(" < 02") >= frames, "a frame was acknowledged before it was on disk"
        real_write(self, octets)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(registry.CapturingTransport, "write", write)
    mount = Pty(port)
    mount.plug_in()
    with at_work(mount) as instrument:
        words = ["--acknowledge", "--keep", str(keep), "--seconds", "2", "--json"]
        assert main(["read", "--address", str(port), *ASTM, *words]) == 0
        assert len(instrument.delivered) == len(SCENARIO.memory)
    messages = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [message["items"][0]["kind"] for message in messages].count("patient") == 6
    assert {"text": ">8.0", "value": "8.0", "comparator": ">", "unit": "INR"} in [
        message["items"][0]["inr"] for message in messages
    ]
    assert len(synced) == 1 + len(meter_octets(keep))  # one wait for the disk for each frame
    assert keep.stat().st_mode & 0o077 == 0

    assert main(["replay", str(keep), *ASTM]) == 0
    replayed = capsys.readouterr()
    assert replayed.out.count("patient") == 6
    assert ">8.0" in replayed.out
    assert "differ" not in replayed.err


def meter_octets(capture: Path) -> list[bytes]:
    content = registry.captured_octets(capture.read_bytes())
    assert content is not None
    return [b"\x02" + part for part in content.split(b"\x02")[1:]]


def test_a_meter_that_dials_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with registry.listen("tcp-listen://127.0.0.1:0") as listener:
        number = int(listener.address.rpartition(":")[2])
    mount = Dialer("127.0.0.1", number)
    mount.plug_in()
    with at_work(mount):
        words = ["--acknowledge", "--keep", str(tmp_path / "kept"), "--seconds", "5"]
        assert main(["read", "--address", f"tcp-listen://127.0.0.1:{number}", *ASTM, *words]) == 0
    assert capsys.readouterr().out.count("patient") == 6


def test_a_capture_acknowledges_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mount = Listener("127.0.0.1", 0)
    place = mount.plug_in()
    address = f"tcp://127.0.0.1:{place['port']}"
    first, second = tmp_path / "first.capture", tmp_path / "second.capture"
    with at_work(mount) as instrument:
        assert main(["capture", "--address", address, *ASTM, "--seconds", "5", str(first)]) == 0
        assert instrument.delivered == ()
        assert main(["capture", "--address", address, *ASTM, "--seconds", "5", "--acknowledge", str(second)]) == 0
        assert len(instrument.delivered) == len(SCENARIO.memory)
    assert "patient" not in capsys.readouterr().out
    assert len(meter_octets(first)) == 1


def test_what_cannot_be_on_disk_is_not_acknowledged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mount = Pty(tmp_path / "meter")
    mount.plug_in()
    with at_work(mount) as instrument:
        words = ["--acknowledge", "--keep", str(tmp_path / "no folder" / "kept"), "--seconds", "1"]
        assert main(["read", "--address", str(tmp_path / "meter"), *ASTM, *words]) == 1
        assert instrument.delivered == ()
    assert "the capture could not be written" in capsys.readouterr().err


def test_a_disk_that_fails_later_ends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = Pty(tmp_path / "meter")
    mount.plug_in()
    real_fsync, calls = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise OSError(errno.EIO, "the disk failed", "kept")
        real_fsync(descriptor)

    with at_work(mount) as instrument:
        monkeypatch.setattr(os, "fsync", fsync)
        words = ["--acknowledge", "--keep", str(tmp_path / "kept"), "--seconds", "5"]
        assert main(["read", "--address", str(tmp_path / "meter"), *ASTM, *words]) == 1
        assert instrument.delivered == ()
    assert "nothing more was acknowledged: kept: the disk failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--driver", "none"], 2, "no driver 'none'"),
        (["--driver", "poct1a", "--profile", "home_inr_astm"], 2, "is for the driver 'astm'"),
        (["--driver", "astm"], 2, "needs a profile"),
        (["--driver", "astm", "--profile", "none"], 2, "No such file"),
        ([*ASTM, "--acknowledge"], 2, "needs --keep"),
        ([*ASTM], 1, "is the meter plugged in"),
    ],
)
def test_what_is_wrong_is_said(
    words: list[str], status: int, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["read", "--address", str(tmp_path / "none"), *words]) == status
    assert says in capsys.readouterr().err


def test_nobody_dials_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", "--address", "tcp-listen://127.0.0.1:0", *ASTM, "--seconds", "0.2"]) == 1
    assert "no meter connected" in capsys.readouterr().err


def test_a_replay_that_goes_otherwise_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "changed.capture"
    path.write_text(
        "# inr-gateway capture 1\n2026-03-14T07:30:05Z < 05\n2026-03-14T07:30:05Z > 15\n2026-03-14T07:30:06Z < 04\n"
    )
    assert main(["replay", str(path), *ASTM]) == 1
    assert "1 answers differ from the capture's, first at line 3" in capsys.readouterr().err
    path.write_bytes(b"\x05")
    assert main(["replay", str(path), *ASTM]) == 2
    assert "capture" in capsys.readouterr().err
