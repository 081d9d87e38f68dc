"""Which versions get a report, to whom, and when: on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.database import transaction
from gateway.reporting import queueing
from gateway.reporting.configuration import Delivery
from gateway.reporting.queueing import Search, queue_reports
from gateway.result import Kind
from gateway.store import reports
from gateway.store.opening import open_store
from tests.unit.reporting.lint import lint, segments
from tests.unit.reporting.stores import TAKEN, Store, body, quantity

DAY = timedelta(days=1)


class Desk:
    """Looks for reports to make, on a connection of its own, as delivery does."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.database = open_store(store.path)
        self.search = Search(store.role)

    def look(self) -> list[int]:
        return self.search.look(self.database).results

    def work(self) -> None:
        """Until nothing is found."""
        for _ in range(1000):
            change = self.search.look(self.database)
            if change.results:
                with transaction(self.database):
                    queue_reports(self.database, self.store.role, change.results, Delivery(), self.store.clock)
            elif self.search._next is None:
                return
        raise AssertionError("it never ends")

    def queued(self) -> list[tuple[int, int, str]]:
        self.work()
        rows = self.store.rows("SELECT result_id, version, destination_id FROM report ORDER BY id")
        return [(row[0], row[1], row[2]) for row in rows]


@pytest.fixture
def desk(store: Store) -> Iterator[Desk]:
    desk = Desk(store)
    yield desk
    desk.database.close()


def test_a_result_goes_to_every_destination_of_who_treats(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.provider("a", "mllp://127.0.0.1:2", destination="a-second")
    store.provider("b", "mllp://127.0.0.1:3")
    store.provider("c", "mllp://127.0.0.1:4")
    store.patient("p", "a", "b")
    result = store.result("p")
    assert desk.queued() == [(result, 1, "a-hl7"), (result, 1, "a-second"), (result, 1, "b-hl7")]
    octets = [row[0] for row in store.rows("SELECT octets FROM report ORDER BY id")]
    controls = [row[0] for row in store.rows("SELECT control_id FROM report ORDER BY id")]
    assert [lint(each) for each in octets] == [[], [], []]
    assert [segments(each)[0][10] for each in octets] == controls
    assert len(set(controls)) == 3


def test_a_treatment_counts_from_its_first_instant_to_before_its_last(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.patient("p")
    with transaction(store.database):
        store.treat("p", "a", TAKEN, TAKEN + DAY)
    inside = [store.result("p", "first", TAKEN), store.result("p", "last", TAKEN + DAY - timedelta(milliseconds=1))]
    store.result("p", "before", TAKEN - timedelta(milliseconds=1))
    store.result("p", "after", TAKEN + DAY)
    assert [row[0] for row in desk.queued()] == inside


@pytest.mark.parametrize("kind", [Kind.CONTROL, Kind.ERROR, Kind.CALIBRATION, Kind.TEST])
def test_only_patient_results_are_reported(store: Store, desk: Desk, kind: Kind) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.patient("p", "a")
    store.result("p", kind=kind)
    assert desk.queued() == []


@pytest.mark.parametrize("origin", ["simulator", "replay"])
def test_production_never_reports_what_no_meter_measured(production: Store, origin: str) -> None:
    desk = Desk(production)
    production.provider("a", "mllp://127.0.0.1:1")
    production.patient("p", "a")
    production.result("p", "simulated", origin=origin)
    real = production.result("p", "real")
    assert desk.queued() == [(real, 1, "a-hl7")]
    assert production.rows("SELECT * FROM quarantine") == []
    assert segments(production.value("SELECT octets FROM report"))[0][11] == "P"
    desk.database.close()


def test_a_rig_marks_every_message_as_a_test(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.patient("p", "a")
    store.result("p", origin="simulator")
    desk.work()
    assert segments(store.value("SELECT octets FROM report"))[0][11] == "T"


def test_quarantine_holds_back_until_released(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.patient("p", "a")
    result = store.result("p")
    entry = store.quarantine(result)
    assert desk.queued() == []
    store.release(entry)
    assert desk.queued() == [(result, 1, "a-hl7")]


def test_what_a_person_dismissed_is_never_reported(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.patient("p", "a")
    store.release(store.quarantine(store.result("p")), "dismissed")
    assert desk.queued() == []


def test_late_results_and_late_registrations_are_found(store: Store, desk: Desk) -> None:
    store.patient("p")
    early = store.result("p", "early")
    assert desk.queued() == []
    store.provider("a", "mllp://127.0.0.1:1")
    with transaction(store.database):
        store.treat("p", "a", TAKEN - 400 * DAY)
    assert desk.queued() == [(early, 1, "a-hl7")]
    older = store.result("p", "back-filled", TAKEN - 300 * DAY)
    assert desk.queued() == [(early, 1, "a-hl7"), (older, 1, "a-hl7")]


def test_everything_is_gone_through_however_many_steps_it_takes(
    store: Store, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "STEP", 7)
    store.patient("p")
    results = store.results("p", 40)
    assert desk.queued() == []
    store.provider("a", "mllp://127.0.0.1:1")
    with transaction(store.database):
        store.treat("p", "a", TAKEN - DAY)
    assert [row[0] for row in desk.queued()] == results


def test_nothing_is_looked_at_while_nobody_changes_anything(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.patient("p", "a")
    store.result("p")
    desk.work()
    statements: list[str] = []
    desk.database.set_trace_callback(statements.append)
    assert desk.look() == []
    assert statements == ["PRAGMA data_version"]


def test_a_correction_reaches_who_got_the_first_even_if_they_treat_no_more(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.provider("b", "mllp://127.0.0.1:2")
    store.patient("p", "a", since=TAKEN - DAY)
    result = store.result("p")
    desk.work()
    with transaction(store.database):
        store.treat("p", "b", TAKEN - 9 * DAY)
    store.version(result, "p", "corrected", TAKEN - 5 * DAY, inr=quantity("2.6"))
    assert desk.queued() == [(result, 1, "a-hl7"), (result, 2, "a-hl7"), (result, 2, "b-hl7")]
    assert segments(store.value("SELECT octets FROM report WHERE id = 2"))[1][3].startswith("MRN-p^")


def test_a_result_that_was_another_patients_is_taken_back_there_and_reported_here(store: Store, desk: Desk) -> None:
    for name in "ab":
        store.provider(name, "mllp://127.0.0.1:1")
        store.patient(f"p{name}", name)
    result = store.result("pa")
    desk.work()
    with transaction(store.database):
        store._version(result, "pa", "retracted", TAKEN, {})
        store._version(result, "pb", "final", TAKEN, {})
    assert desk.queued() == [(result, 1, "a-hl7"), (result, 2, "a-hl7"), (result, 3, "b-hl7")]
    last = [segments(row[0]) for row in store.rows("SELECT octets FROM report ORDER BY id")][1:]
    assert [(each[1][3].split("^")[0], each[4][11]) for each in last] == [("MRN-pa", "W"), ("MRN-pb", "F")]
    assert store.rows("SELECT * FROM quarantine") == []


def test_a_retraction_passes_the_quarantine_and_only_where_something_was_reported(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.patient("p", "a")
    told, untold = store.result("p", "told"), store.result("p", "untold")
    entry = store.quarantine(untold)
    desk.work()
    for result in (told, untold):
        store.version(result, "p", "retracted")
    store.release(entry)
    store.quarantine(told, "unassigned")
    assert desk.queued() == [(told, 1, "a-hl7"), (told, 2, "a-hl7")]


def test_only_the_newest_version_is_reported(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.patient("p", "a")
    result = store.result("p")
    store.version(result, "p", "corrected")
    assert desk.queued() == [(result, 2, "a-hl7")]


def test_what_cannot_be_reported_waits_in_the_quarantine_and_stalls_nothing(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.patient("p", "a")
    bad = store.result("p", "bad", text="{}")
    good = store.result("p", "good")
    assert desk.queued() == [(good, 1, "a-hl7")]
    (entry,) = store.rows("SELECT id, result_id, reason, detail FROM quarantine")
    assert (entry["result_id"], entry["reason"]) == (bad, reports.UNREPORTABLE)
    assert "does not fit its schema" in entry["detail"]
    store.write("DROP TRIGGER version_stays")  # past the schema, as damage would
    store.write("UPDATE version SET body = ? WHERE result_id = ?", body().model_dump_json(by_alias=True), bad)
    assert len(desk.queued()) == 1
    store.release(entry["id"])
    assert desk.queued() == [(good, 1, "a-hl7"), (bad, 1, "a-hl7")]


def test_a_retraction_that_cannot_be_reported_waits_too(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.patient("p", "a")
    result = store.result("p")
    desk.work()
    store.version(result, "p", "retracted", text="{}")
    assert desk.queued() == [(result, 1, "a-hl7")]
    assert store.value("SELECT count(*) FROM quarantine WHERE closed_at IS NULL") == 1


def test_a_restored_store_makes_no_report_until_reconciled(store: Store, desk: Desk) -> None:
    store.provider("a", "mllp://127.0.0.1:1")
    store.patient("p", "a")
    store.restored()
    result = store.result("p")
    for _ in range(5):
        assert desk.look() == []
    store.reconcile()
    assert desk.queued() == [(result, 1, "a-hl7")]


def test_a_report_made_again_after_a_restore_has_its_old_name(tmp_path: Path) -> None:
    names = []
    for number in range(2):
        store = Store(tmp_path / f"{number}.db")
        desk = Desk(store)
        store.provider("a", "mllp://127.0.0.1:1")
        store.patient("p", "a")
        if number:  # something else came first this time
            store.result("p", "other")
        store.result("p", "same")
        desk.work()
        names.append(
            store.value(
                "SELECT control_id FROM report JOIN result ON result.id = report.result_id WHERE key = 'same'"
            )
        )
        desk.database.close()
        store.close()
    assert names[0] == names[1]
