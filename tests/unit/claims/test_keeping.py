"""While the server runs nobody has to ask for a tally."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from gateway.clock import Clock
from gateway.reporting.claims.keeping import Tallying
from gateway.reporting.claims.recompute import outcome
from gateway.reporting.facts import every_facts
from gateway.store import tallies
from tests.unit.claims.desk import MONDAYS, Desk

NOON = dt.datetime(2026, 3, 30, 12, tzinfo=dt.UTC)


@contextmanager
def keeping(desk: Desk, start: dt.datetime = NOON) -> Iterator[Tallying]:
    service = Tallying(desk.store, Clock(start), "rig")
    service.start()
    try:
        yield service
    finally:
        service.stop()


def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "it never came"
        time.sleep(0.02)


def kept(desk: Desk) -> dict[str, tuple[str, str]]:
    return {each.patient_id: (each.as_of, each.sha256) for each in tallies.every_computed(desk.database)}


def right(desk: Desk, day: dt.date) -> dict[str, tuple[str, str]]:
    return {facts.patient_id: (str(day), outcome(facts, day, "rig")[0]) for facts in every_facts(desk.database)}


def test_what_is_written_is_tallied_without_being_asked_for(desk: Desk) -> None:
    desk.patient("P1")
    with keeping(desk) as service:
        until(lambda: kept(desk) == right(desk, NOON.date()))
        before = kept(desk)
        for monday in MONDAYS[:4]:
            desk.test("P1", monday)
        service.notify()
        until(lambda: kept(desk) != before)
        until(lambda: kept(desk) == right(desk, NOON.date()))
    assert tallies.changed(desk.database, tallies.last_change(desk.database)) == []


def test_a_new_day_tallies_everybody(desk: Desk) -> None:
    for patient in ("P1", "P2"):
        desk.patient(patient)
    midnight = NOON.replace(hour=0) + dt.timedelta(days=1)
    with keeping(desk, midnight - dt.timedelta(seconds=1)):
        until(lambda: kept(desk) == right(desk, midnight.date()))


def test_a_kept_tally_that_was_wrong_is_mended_and_said(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.patient("P1")
    with keeping(desk):
        until(lambda: kept(desk) == right(desk, NOON.date()))
    desk.write("UPDATE tally SET sha256 = 'wrong'")
    with caplog.at_level(logging.ERROR), keeping(desk):
        until(lambda: kept(desk) == right(desk, NOON.date()))
    assert "1 kept tallies were others than their facts say" in caplog.text
    assert "P1" not in caplog.text
