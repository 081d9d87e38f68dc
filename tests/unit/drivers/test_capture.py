"""Captures hold every octet, and a replay of one drives a driver as the meter did."""

from __future__ import annotations

import logging
import stat
import tomllib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.contract import Finished, Piece, Send
from drivers.errors import FramingError, TransportError, TransportReason
from drivers.meters.astm import AstmDriver
from drivers.registry import CapturingTransport, Transport, captured_octets, open_transport
from drivers.transports.capture import FROM_METER, TO_METER, read_capture
from drivers.transports.replay import Difference, ReplayTransport
from drivers.transports.serial_port import SerialTransport
from tests.protocol.astm.framer import ACK, ENQ, EOT, MESSAGE, bare, frames
from tests.unit.drivers.conftest import Pty

PROFILE = Path(__file__).resolve().parents[3] / "config/profiles/home_inr_astm.toml"


class Scripted(Transport):
    """A far end that says what it was told to say, then goes away."""

    kind = "serial"
    peer = "scripted"

    def __init__(self, *says: bytes) -> None:
        self._says = list(says)
        self.heard = b""
        self.closed = False

    def read(self, max_octets: int, timeout_s: float) -> bytes:
        if not self._says:
            raise TransportError("scripted: gone", TransportReason.UNPLUGGED)
        return self._says.pop(0)

    def write(self, octets: bytes) -> None:
        self.heard += octets

    def close(self) -> None:
        self.closed = True


def converse(transport: Transport, driver: AstmDriver) -> list[bytes]:
    """A small hub: reads until the meter ends its transfer or goes away, commits at once; gives the pieces."""
    now_s = 0.0
    session = driver.session()
    pieces: list[bytes] = []
    todo = session.opened(now_s)
    with suppress(TransportError):
        while True:
            while todo:
                event = todo.pop(0)
                if isinstance(event, Send):
                    transport.write(event.octets)
                elif isinstance(event, Piece):
                    pieces.append(event.octets)
                    todo = session.confirm(now_s) + todo
                elif isinstance(event, Finished):
                    return pieces
            octets = transport.read(4096, 0.01)
            now_s += 0 if octets else 0.01
            todo = session.receive(octets, now_s) if octets else session.tick(now_s)
    return pieces


@pytest.fixture
def driver() -> AstmDriver:
    return AstmDriver(tomllib.loads(PROFILE.read_text()))


class TestCapture:
    def test_every_octet_with_time_and_direction(self, tmp_path: Path) -> None:
        path = tmp_path / "meter.capture"
        moments = iter(datetime(2026, 3, 14, 7, 30, 5, 123456, UTC) + timedelta(seconds=n) for n in range(99))
        far = Scripted(b"\x05", b"", b"\x02abc")
        transport = CapturingTransport(far, path, now=lambda: next(moments))
        assert (transport.kind, transport.peer) == ("serial", "scripted")
        assert transport.read(10, 1) == b"\x05"
        transport.write(b"\x06")
        assert transport.read(10, 1) == b""
        assert transport.read(10, 1) == b"\x02abc"
        with pytest.raises(TransportError):
            transport.read(10, 1)
        transport.close()
        assert far.heard == b"\x06"
        assert far.closed
        assert path.read_text().splitlines() == [
            "# inr-gateway capture 1",
            "2026-03-14T07:30:05.123456Z ! open scripted",
            "2026-03-14T07:30:06.123456Z < 05",
            "2026-03-14T07:30:07.123456Z > 06",
            "2026-03-14T07:30:08.123456Z < 02616263",
            "2026-03-14T07:30:09.123456Z ! error unplugged",
            "2026-03-14T07:30:10.123456Z ! close",
        ]

    def test_only_the_owner_may_read_it(self, tmp_path: Path) -> None:
        path = tmp_path / "meter.capture"
        path.touch(mode=0o644)
        CapturingTransport(Scripted(), path).close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_it_rotates_by_size_and_keeps_so_many(self, tmp_path: Path) -> None:
        path = tmp_path / "meter.capture"
        said = [b"%04d" % number * 25 for number in range(100)]
        transport = CapturingTransport(Scripted(*said), path, max_octets=5000, keep=3)
        for _ in said:
            transport.read(1000, 0)
        transport.close()
        names = sorted(file.name for file in tmp_path.iterdir())
        assert names == ["meter.capture", "meter.capture.1", "meter.capture.2", "meter.capture.3"]
        for file in tmp_path.iterdir():
            assert file.stat().st_size <= 5000
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
        kept = b"".join(captured_octets((tmp_path / name).read_bytes()) or b"" for name in reversed(names))
        assert b"".join(said).endswith(kept)
        assert len(kept) > 5000

    def test_a_new_session_goes_on_in_the_same_file(self, tmp_path: Path) -> None:
        path = tmp_path / "meter.capture"
        for octets in (b"one", b"two"):
            with CapturingTransport(Scripted(octets), path) as transport:
                transport.read(10, 0)
        assert captured_octets(path.read_bytes()) == b"onetwo"
        assert path.read_text().count("# inr-gateway") == 1

    def test_a_disk_that_refuses_does_not_stop_the_meter(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            transport = CapturingTransport(Scripted(b"\x05", b"\x04"), tmp_path / "none" / "meter.capture")
            assert transport.read(10, 0) == b"\x05"
            assert transport.read(10, 0) == b"\x04"
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "still read" in caplog.text

    def test_a_line_that_was_cut_off_is_left_out(self, tmp_path: Path) -> None:
        path = tmp_path / "meter.capture"
        with CapturingTransport(Scripted(b"one", b"two"), path) as transport:
            transport.read(10, 0)
            transport.read(10, 0)
        content = path.read_bytes()
        for cut in range(content.index(b"< ") + 40, len(content)):
            octets = captured_octets(content[:cut])
            assert octets is not None
            assert b"onetwo".startswith(octets)

    @pytest.mark.parametrize(
        "line", ["nonsense", "2026-03-14T07:30:05Z < 0", "2026-03-14T07:30:05Z ? 05", "x < 05"]
    )
    def test_a_damaged_line_is_named(self, line: str) -> None:
        content = f"# inr-gateway capture 1\n2026-03-14T07:30:05Z > 06\n{line}\n".encode()
        with pytest.raises(FramingError, match="line 3") as raised:
            list(read_capture(content))
        assert raised.value.offset == content.index(line.encode())

    def test_what_is_no_capture_is_known(self) -> None:
        assert captured_octets(b"\x05\x02") is None
        with pytest.raises(FramingError):
            list(read_capture(b"\x05"))

    @given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=50)), max_size=20))
    def test_what_was_moved_is_what_is_read(self, moved: list[tuple[bool, bytes]]) -> None:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "c"
            said = [octets for from_meter, octets in moved if from_meter]
            with CapturingTransport(Scripted(*said), path) as transport:
                for from_meter, octets in moved:
                    if from_meter:
                        assert transport.read(100, 0) == octets
                    else:
                        transport.write(octets)
            lines = [line for line in read_capture(path.read_bytes()) if line.octets]
            assert [(line.direction, line.octets) for line in lines] == [
                (FROM_METER if from_meter else TO_METER, octets) for from_meter, octets in moved
            ]


class TestReplay:
    @staticmethod
    def captured(pty: Pty, path: Path, driver: AstmDriver) -> list[bytes]:
        """A conversation over a real pty with a meter that waits for every answer."""

        def meter() -> None:
            for step in [*frames(MESSAGE), EOT]:
                assert pty.heard(1) == ACK
                pty.send(step)

        thread = Thread(target=meter)
        with CapturingTransport(SerialTransport(pty.path), path) as transport:
            pty.send(ENQ)
            thread.start()
            pieces = converse(transport, driver)
        thread.join(5)
        return pieces

    def test_a_replay_gives_the_same_records(self, pty: Pty, tmp_path: Path, driver: AstmDriver) -> None:
        path = tmp_path / "meter.capture"
        pieces = self.captured(pty, path, driver)
        assert pieces == [bare(one) for one in frames(MESSAGE)]
        with open_transport(f"replay:{path}") as transport:
            assert isinstance(transport, ReplayTransport)
            assert transport.kind == "replay"
            again = converse(transport, driver)
            assert transport.finished
        assert driver.decode(again) == driver.decode(pieces)
        assert transport.written == ACK * 9
        assert transport.differences == []

    def test_a_host_that_answers_otherwise_is_noticed(self, tmp_path: Path) -> None:
        path = tmp_path / "c"
        with CapturingTransport(Scripted(b"\x05"), path) as transport:
            transport.read(1, 0)
            transport.write(b"\x06\x06")
        replay = ReplayTransport(path)
        assert replay.read(10, 0) == b"\x05"
        replay.write(b"\x15")
        replay.write(b"\x06")
        replay.write(b"\x04")
        assert replay.differences == [Difference(4, b"\x06", b"\x15"), Difference(0, b"", b"\x04")]

    def test_the_meter_waits_for_its_answer(self, tmp_path: Path) -> None:
        path = tmp_path / "c"
        with CapturingTransport(Scripted(b"\x05", b"\x04"), path) as transport:
            transport.read(1, 0)
            transport.write(b"\x06")
            transport.read(1, 0)
        replay = ReplayTransport(path, patience_s=0.02)
        assert replay.read(10, 1) == b"\x05"
        assert replay.read(10, 0.01) == b""
        replay.write(b"\x06")
        assert replay.read(10, 1) == b"\x04"
        with pytest.raises(TransportError, match="ends here") as raised:
            replay.read(10, 1)
        assert raised.value.reason is TransportReason.CLOSED

    def test_a_host_that_never_answers_ends_the_replay(self, tmp_path: Path) -> None:
        path = tmp_path / "c"
        with CapturingTransport(Scripted(b"\x05"), path) as transport:
            transport.read(1, 0)
            transport.write(b"\x06")
        replay = ReplayTransport(path, patience_s=0.02)
        replay.read(1, 0)
        assert [replay.read(10, 0.01), replay.read(10, 0.01)] == [b"", b""]
        with pytest.raises(TransportError, match="line 4") as raised:
            replay.read(10, 0.01)
        assert raised.value.reason is TransportReason.TIMED_OUT
        replay.close()
        replay.close()
        assert replay.differences == [Difference(4, b"\x06", b"")]
        for call in (lambda: replay.read(1, 0), lambda: replay.write(b"x")):
            with pytest.raises(TransportError):
                call()

    def test_octets_come_in_the_portions_asked_for(self, tmp_path: Path) -> None:
        path = tmp_path / "c"
        with CapturingTransport(Scripted(b"abcdef"), path) as transport:
            transport.read(10, 0)
        replay = ReplayTransport(path)
        assert [replay.read(4, 0), replay.read(4, 0)] == [b"abcd", b"ef"]

    def test_a_file_that_is_no_capture_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "c"
        path.write_bytes(b"\x05\x02")
        with pytest.raises(TransportError, match="capture") as raised:
            ReplayTransport(path)
        assert raised.value.reason is TransportReason.MISCONFIGURED
