"""Ports are kept alive: opened again after every end, in good time and no oftener; one bad meter harms no other."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.contract import NO_MEMOS, Session
from gateway.hub.attachments import Attachment
from gateway.hub.configuration import AttachmentSection
from gateway.wire.reading import Origin
from tests.unit.hub.conftest import Bench
from tests.unit.hub.tiny import TinyDriver
from tests.unit.mqtt.brokers import free_port

MESSAGE = b"H|Acme|1|2026-03-14T08:00:00\nR|2.5|2026-03-13T08:00:00\nL\n"


def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.005)


class MeterServer:
    """A meter that is dialled; says the same to everybody who calls."""

    def __init__(self, *says: bytes) -> None:
        self._says = says
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.calls_s: list[float] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.calls_s.append(time.monotonic())
            with connection:
                connection.settimeout(5)
                for part in self._says:
                    connection.sendall(part)
                if self._says:
                    while connection.recv(100):  # until the hub has read it all and hangs up
                        pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def attached(
    bench: Bench, address: str, driver: TinyDriver | None = None, **changes: object
) -> Iterator[Attachment]:
    section = AttachmentSection.model_validate({"name": "meter", "address": address, "driver": "tiny", **changes})
    attachment = Attachment(section, driver or TinyDriver({}), Origin.SIMULATOR, bench.intake)
    attachment.start()
    attachment.wait_until_tried(5)
    try:
        yield attachment
    finally:
        attachment.stop()
        began_s = time.monotonic()
        attachment.join(2.0)
        assert time.monotonic() - began_s < 1.5


def test_after_everything_was_read_the_meter_rests(bench: Bench) -> None:
    meter = MeterServer(MESSAGE + b"#\n")
    with attached(bench, f"tcp://127.0.0.1:{meter.port}", again_after_s=1.5):
        until(lambda: len(meter.calls_s) == 2)
    meter.close()
    assert meter.calls_s[1] - meter.calls_s[0] >= 1.5
    assert len(bench.readings) >= 1


def test_a_port_that_breaks_is_opened_again_soon(bench: Bench) -> None:
    meter = MeterServer()  # hangs up at once
    with attached(bench, f"tcp://127.0.0.1:{meter.port}"):
        until(lambda: len(meter.calls_s) == 2)
    meter.close()
    assert 0.5 < meter.calls_s[1] - meter.calls_s[0] < 2.0


def test_a_port_that_is_not_there_is_mentioned_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    with attached(bench, f"tcp://127.0.0.1:{port}"):
        until(lambda: caplog.text.count("cannot be reached") == 1)
        time.sleep(1.5)  # long enough for a second attempt, which must say nothing new
        assert caplog.text.count("cannot be reached") == 1


class Hopeless(TinyDriver):
    """Fails at every second conversation."""

    attempts = 0

    def session(self, unfinished: Sequence[bytes] = (), memos: Mapping[str, bytes] = NO_MEMOS) -> Session:
        self.attempts += 1
        if self.attempts % 2:
            raise RuntimeError("quotes 2.5")
        return super().session(unfinished, memos)


def test_a_driver_that_fails_does_not_end_its_port(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    meter = MeterServer(MESSAGE + b"#\n")
    with attached(bench, f"tcp://127.0.0.1:{meter.port}", Hopeless({})):
        until(lambda: bench.readings)
    meter.close()
    assert "RuntimeError at tests.unit.hub.test_attachments:" in caplog.text
    assert "2.5" not in caplog.text


def test_meters_that_connect_are_read_side_by_side(bench: Bench) -> None:
    port = free_port()
    with attached(bench, f"tcp-listen://127.0.0.1:{port}", max_connections=3):
        meters = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(3)]
        until(lambda: all(meter.recv(10) for meter in meters))  # each was greeted before any is done
        for part in (MESSAGE[:40], MESSAGE[40:]):
            for meter in meters:
                meter.sendall(part)
        until(lambda: len(bench.readings) == 3)
        for meter in meters:
            meter.close()
    assert [reading.octets for reading in bench.readings] == [b"R|2.5|2026-03-13T08:00:00\n"] * 3


def test_one_connection_too_many_is_turned_away(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    where = ("127.0.0.1", port)
    with (
        attached(bench, f"tcp-listen://127.0.0.1:{port}", max_connections=1),
        socket.create_connection(where, 5) as first,
    ):
        assert first.recv(10) == b"hello\n"
        with socket.create_connection(where, 5) as second:
            assert second.recv(10) == b""
        until(lambda: "turned away" in caplog.text)
        first.sendall(MESSAGE)
        until(lambda: bench.readings)


def test_captures_of_conversations_at_one_time_stay_apart(bench: Bench, tmp_path: Path) -> None:
    port = free_port()
    capture = tmp_path / "meter.capture"
    with attached(bench, f"tcp-listen://127.0.0.1:{port}", capture=str(capture)):
        meters = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(2)]
        for meter in meters:
            meter.sendall(MESSAGE)
        until(lambda: len(bench.readings) == 2)
        for meter in meters:
            meter.close()
    for name in ("meter.capture", "meter-2.capture"):
        text = (tmp_path / name).read_text()
        assert b"R|2.5|2026-03-13T08:00:00\n".hex() in text.replace("\n", "")


def test_a_capture_is_played_back_once_and_says_so(bench: Bench, tmp_path: Path) -> None:
    capture = tmp_path / "meter.capture"
    lines = ["# inr-gateway capture 1", f"2026-03-14T07:30:05.000000Z > {b'hello'.hex()}0a"]
    for part in MESSAGE.splitlines(keepends=True):
        lines += [f"2026-03-14T07:30:06.000000Z < {part.hex()}", f"2026-03-14T07:30:06.000000Z > {b'+'.hex()}0a"]
    capture.write_text("\n".join(lines) + "\n")
    with attached(bench, f"replay:{capture}") as attachment:
        until(lambda: bench.readings)
        until(lambda: not attachment._thread.is_alive())
    assert [reading.origin for reading in bench.readings] == [Origin.REPLAY]
