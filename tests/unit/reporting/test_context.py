"""What stands around a result in its report: earlier results, and limits once the intended use is stated."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest

from gateway.database import transaction
from gateway.reporting.alerts.configuration import IntendedUse
from gateway.reporting.channels.base import Channel
from gateway.reporting.configuration import Delivery
from gateway.reporting.queueing import NOTHING_STATED, queue_reports
from gateway.reporting.reportable import ReportableResult
from gateway.reporting.summary import Summary
from tests.unit.reporting import scripted
from tests.unit.reporting.stores import TAKEN, Store, quantity

STATED = IntendedUse(statement="Shows results against targets", stated_by="Ada", stated_on=date(2026, 1, 1))
DAY = timedelta(days=1)


@pytest.fixture
def reported(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ReportableResult]]:
    """What the renderer was given, by result; the channel wants a summary."""
    seen: dict[str, ReportableResult] = {}

    def render(report: ReportableResult, _settings: scripted.Settings) -> bytes:
        seen[report.result_id] = report
        return b"x"

    wants_summary = Channel(
        "scripted", scripted.Settings, scripted.check_address, render, scripted.Sender, summary=True
    )
    monkeypatch.setattr(scripted, "CHANNEL", wants_summary)
    with scripted.installed():
        store.provider("a", "scripted:x", channel="scripted")
        store.patient("p", "a", since=TAKEN - 900 * DAY)
        yield seen


def queue(store: Store, *results: int, intended_use: IntendedUse = NOTHING_STATED) -> None:
    with transaction(store.database):
        queue_reports(store.database, store.role, results, Delivery(), store.clock, intended_use)


def state_limits(store: Store) -> None:
    for pair, low, high in (("target", "2.0", "3.0"), ("critical", "1.5", "5.0")):
        store.write(
            "INSERT INTO limit_pair (level, of_id, pair, from_date, low, high, stated_by, recorded_at)"
            " VALUES ('provider', 'a', ?, '2020-01-01', ?, ?, 'Dr Ada', '2020-01-01T00:00:00.000Z')",
            pair,
            low,
            high,
        )


def test_history_holds_what_was_before_the_test_and_still_holds(
    store: Store, reported: dict[str, ReportableResult]
) -> None:
    store.result("p", "old", TAKEN - 300 * DAY, inr=quantity("2.1"))
    store.result("p", "too old", TAKEN - 500 * DAY)
    store.quarantine(store.result("p", "held", TAKEN - 5 * DAY))
    taken_back = store.result("p", "taken back", TAKEN - 4 * DAY)
    store.version(taken_back, "p", "retracted", TAKEN - 4 * DAY)
    corrected = store.result("p", "corrected", TAKEN - 3 * DAY, inr=quantity("9.9"))
    store.version(corrected, "p", "corrected", TAKEN - 3 * DAY, inr=quantity("2.60"))
    this = store.result("p", "this", TAKEN)
    store.result("p", "after", TAKEN + DAY)
    queue(store, this)
    history = reported["this"].history
    assert [(past.result_id, past.inr.text) for past in history] == [("old", "2.1"), ("corrected", "2.60")]
    assert history[0].taken_at == TAKEN - 300 * DAY
    assert history[0].taken_at.utcoffset() == timedelta(hours=-4)
    assert reported["this"].summary is None


def test_without_a_stated_use_nothing_is_compared(store: Store, reported: dict[str, ReportableResult]) -> None:
    state_limits(store)
    queue(store, store.result("p", "this", inr=quantity("3.4")))
    assert (reported["this"].limits, reported["this"].interpretation) == (None, ())


def test_with_a_stated_use_limits_interpretation_and_summary_stand_there(
    store: Store, reported: dict[str, ReportableResult]
) -> None:
    state_limits(store)
    store.result("p", "before", TAKEN - 7 * DAY, inr=quantity("2.5"))
    result = store.result("p", "this", inr=quantity("3.4"))
    store.write("UPDATE result SET inr = CASE key WHEN 'this' THEN '3.4' ELSE '2.5' END")
    queue(store, result, intended_use=STATED)
    report = reported["this"]
    assert report.limits is not None
    assert (report.limits.target_high, report.limits.source) == (Decimal("3.0"), "provider")
    assert report.interpretation == ("H",)
    assert isinstance(report.summary, Summary)
    assert report.summary.tests == 2


def test_the_order_and_the_hub_are_told(store: Store, reported: dict[str, ReportableResult]) -> None:
    store.write("UPDATE treatment SET order_id = 'ORD-7'")
    result = store.result("p", "this")
    reading = store.write(
        "INSERT INTO reading (journal, number, sha256, hub, payload, received_at, verdict)"
        " VALUES ('j', 1, 's', 'hub-7', x'00', '2026-03-14T18:00:00.000Z', 'stored')"
    )
    store.write("DROP TRIGGER version_stays")  # past the schema, as damage would
    store.write("UPDATE version SET reading_id = ? WHERE result_id = ?", reading, result)
    queue(store, result)
    assert (reported["this"].order_id, reported["this"].hub_id) == ("ORD-7", "hub-7")
