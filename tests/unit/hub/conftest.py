"""What the hub's tests share: a journal in a folder of its own, and a hub's intake on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.contract import Decoded
from gateway.clock import Clock
from gateway.hub.alarms import Alarm, Alarms
from gateway.hub.decoder import Decoder, History
from gateway.hub.decoding import Interpreter
from gateway.hub.entries import Line
from gateway.hub.intake import Intake
from gateway.hub.journal import Journal
from gateway.hub.opening import open_journal
from gateway.hub.surroundings import Stamper
from gateway.wire.reading import Reading
from tests.unit.hub.tiny import TinyDriver

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
LINE = Line("meter", "meter", "tiny")


class Bench:
    """A journal and everything that stands around one conversation."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.driver = TinyDriver({})
        self.alarms = Alarms()
        self.stamper = Stamper(Clock(NOW), rig=True)
        self.journal: Journal = open_journal(self.path, NOW)
        self.decoder = self._new_decoder()

    def again(self) -> None:
        """As after a crash: what was not committed is gone."""
        self.journal = open_journal(self.path, NOW)
        self.decoder = self._new_decoder()

    def _new_decoder(self) -> Decoder:
        return Decoder(self.journal, self.interpreter_for, self.alarms, lambda: None)

    def interpreter_for(self, line: Line, history: History) -> Interpreter:
        return Interpreter(
            decode=lambda pieces: self.driver.decode(pieces),
            line=line,
            hub="hub-1",
            zone="America/New_York",
            software="test",
            last_messages=history,
            on_driver_fault=lambda: self.alarms.raise_(Alarm.DRIVER_FAULT),
        )

    def interpreter(self, decode: Callable[..., Decoded] | None = None) -> Interpreter:
        made = self.interpreter_for(LINE, lambda _key: ())
        return made if decode is None else replace(made, decode=decode)

    def intake(self, line: Line = LINE) -> Intake:
        return Intake(
            self.journal, line, self.stamper, self.alarms, on_message=self.decoder.put, resume_within_s=900
        )

    @property
    def readings(self) -> list[Reading]:
        """All readings, after everything that is whole was decoded."""
        while self.decoder.work():
            pass
        return [Reading.model_validate_json(row.payload) for row in self.journal.waiting(0, 10_000)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    with suppress(Exception):
        bench.journal.close()
