"""Delivery from a real store file to real sockets."""

from __future__ import annotations

import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Clock, utc
from gateway.database import StoreError, transaction
from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.delivery import Delivery
from gateway.store import sendings
from gateway.store.opening import open_store
from tests.unit.reporting import receivers
from tests.unit.reporting.receivers import Receiver, field, receiver, within
from tests.unit.reporting.stores import TAKEN, Store, quantity

QUICK = Settings(
    poll_s=0.05, connect_timeout_s=1, answer_timeout_s=0.5, retry_first_s=0.05, retry_most_s=0.2, postponed_most=3
)
Start = Callable[..., Delivery]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


@pytest.fixture
def start(store: Store) -> Iterator[Start]:
    begun: list[Delivery] = []

    def begin(settings: Settings = QUICK, clock: Clock | None = None) -> Delivery:
        delivery = Delivery(store.path, settings, clock or store.clock, store.role)
        delivery.start()
        begun.append(delivery)
        return delivery

    yield begin
    for delivery in begun:
        delivery.stop(timeout_s=0.1)


def clinic(store: Store, far_end: Receiver | str, name: str = "a", results: int = 1) -> list[int]:
    """A clinic with this far end, and a patient of its own with results."""
    store.provider(name, far_end if isinstance(far_end, str) else far_end.address)
    store.patient(f"p-{name}", name)
    return store.results(f"p-{name}", results)


def states(store: Store) -> list[str]:
    return [row[0] for row in store.rows("SELECT state FROM report ORDER BY id")]


def outcomes(store: Store) -> list[str | None]:
    return [row[0] for row in store.rows("SELECT outcome FROM attempt ORDER BY id")]


def all_delivered(store: Store, count: int) -> Callable[[], bool]:
    return lambda: states(store) == ["delivered"] * count


def every_copy_is_explained(store: Store, *far_ends: Receiver) -> None:
    """Each control id arrived; each further copy has an attempt of which it was not known whether it arrived."""
    arrived = [name for far_end in far_ends for name in far_end.control_ids]
    for report in store.rows("SELECT id, control_id FROM report WHERE state = 'delivered'"):
        copies = arrived.count(report["control_id"])
        open_ones = store.value(
            "SELECT count(*) FROM attempt WHERE report_id = ? AND (outcome IS NULL OR outcome = 'ambiguous')",
            report["id"],
        )
        assert 1 <= copies <= 1 + open_ones


# ---------------------------------------------------------------- the straight way


def test_every_result_arrives_once_with_its_evidence(store: Store, start: Start) -> None:
    with receiver(receivers.accepts) as far_end:
        clinic(store, far_end, results=30)
        start()
        within(20, all_delivered(store, 30))
        assert len(far_end.messages) == 30
        assert far_end.connections == 1
    assert [row[0] for row in store.rows("SELECT octets FROM report ORDER BY id")] == far_end.messages
    assert outcomes(store) == ["delivered"] * 30
    evidence = store.rows("SELECT * FROM evidence JOIN report ON report.id = report_id")
    assert len(evidence) == 30
    for row in evidence:
        assert row["level"] == "delivered"
        assert row["peer"] == f"127.0.0.1:{far_end.port} (EHR|CLINIC)"
        assert f"MSA|AA|{row['control_id']}".encode() in row["octets"]


def test_a_result_leaves_soon_after_it_was_committed(store: Store, start: Start) -> None:
    with receiver(receivers.accepts) as far_end:
        clinic(store, far_end, results=1)
        delivery = start(Settings(poll_s=10))
        within(5, all_delivered(store, 1))
        store.result("p-a", "k")
        delivery.notify()
        within(5, all_delivered(store, 2))


def test_polling_finds_it_without_being_told(store: Store, start: Start) -> None:
    with receiver(receivers.accepts) as far_end:
        clinic(store, far_end, results=0)
        start()
        for number in range(5):
            store.result("p-a", f"k{number}", TAKEN - timedelta(days=number))
            within(5, all_delivered(store, number + 1))


def test_the_attempt_is_on_disk_before_the_first_octet(store: Store, start: Start) -> None:
    seen: list[list[Any]] = []

    def looks_into_the_store(visit: receivers.Visit, octets: bytes) -> bool:
        other = reports_of(store.path)
        seen.append([tuple(row) for row in other])
        return receivers.accepts(visit, octets)

    with receiver(looks_into_the_store) as far_end:
        clinic(store, far_end)
        start()
        within(5, all_delivered(store, 1))
    assert seen == [[(field(far_end.messages[0], "MSH", 10), far_end.messages[0], None)]]


def reports_of(path: Path) -> list[Any]:
    database = sqlite3.connect(path)
    try:
        return database.execute(
            "SELECT control_id, octets, outcome FROM report JOIN attempt ON attempt.report_id = report.id"
        ).fetchall()
    finally:
        database.close()


# ---------------------------------------------------------------- far ends that misbehave


@pytest.mark.parametrize(
    "habit",
    [
        receivers.accepts,
        receivers.accepts_and_closes,
        receivers.repeats_the_first_answer,
        receivers.in_pieces,
        receivers.answers(lambda name: receivers.acknowledgement(name) * 2),
    ],
    ids=["orderly", "closes after each", "stale answers", "octet by octet", "answers twice"],
)
def test_whatever_its_habit_the_far_end_gets_everything(store: Store, start: Start, habit: receivers.Habit) -> None:
    with receiver(habit) as far_end:
        clinic(store, far_end, results=12)
        start()
        within(30, all_delivered(store, 12))
        every_copy_is_explained(store, far_end)


def test_silence_is_met_with_the_same_octets_again(store: Store, start: Start) -> None:
    patience = [3]

    def at_last(visit: receivers.Visit, octets: bytes) -> bool:
        patience[0] -= 1
        return receivers.accepts(visit, octets) if patience[0] < 0 else True

    with receiver(at_last) as far_end:
        clinic(store, far_end)
        start()
        within(20, all_delivered(store, 1))
        assert len(set(far_end.messages)) == 1
        assert len(far_end.messages) == 4
    assert outcomes(store) == ["ambiguous"] * 3 + ["delivered"]
    assert [row[0] for row in store.rows("SELECT level FROM evidence ORDER BY id")] == ["sent"] * 3 + ["delivered"]


def test_what_kills_the_far_end_does_not_hold_up_the_others(store: Store, start: Start) -> None:
    poison: list[str] = []

    def dies_of_the_first(visit: receivers.Visit, octets: bytes) -> bool:
        name = field(octets, "MSH", 10)
        if not poison:
            poison.append(name)
        return False if name == poison[0] else receivers.accepts(visit, octets)

    with receiver(dies_of_the_first) as far_end:
        clinic(store, far_end, results=6)
        start()
        within(20, lambda: states(store).count("delivered") == 5)
    waiting = store.rows("SELECT control_id, last_error FROM report WHERE state = 'waiting'")
    assert [row["control_id"] for row in waiting] == poison
    assert waiting[0]["last_error"]


def test_refused_waits_for_a_person_who_has_it_sent_again(store: Store, start: Start) -> None:
    unknown = ("ERR|||204^Unknown key identifier^HL70357|E||||no such MRN",)
    with receiver(receivers.says("AE", "AA", more=unknown)) as far_end:
        clinic(store, far_end)
        start()
        within(5, lambda: states(store) == ["refused"])
        assert "no such MRN" in store.value("SELECT last_error FROM report")
        with transaction(store.database):
            sendings.resend(store.database, 1, "Pat Clerk", store.clock.now(), "MRN was added")
        within(5, all_delivered(store, 1))
        assert len(far_end.messages) == 2
        assert len(set(far_end.messages)) == 1
    decision = store.rows("SELECT by_name, act, subject, note FROM decision")[-1]
    assert tuple(decision) == ("Pat Clerk", "resend", "report 1", "MRN was added")


def test_not_now_is_tried_again_but_not_for_ever(store: Store, start: Start) -> None:
    locked = ("ERR|||206^Record locked^HL70357|E",)
    with receiver(receivers.says("AE", more=locked)) as far_end:
        clinic(store, far_end)
        start()
        within(10, lambda: states(store) == ["refused"])
        assert len(far_end.messages) == QUICK.postponed_most
        assert "said 3 times" in store.value("SELECT last_error FROM report")
        with transaction(store.database):
            sendings.resend(store.database, 1, "Pat Clerk", store.clock.now())
        within(10, lambda: len(far_end.messages) == 2 * QUICK.postponed_most)
        within(10, lambda: states(store) == ["refused"])
    assert set(outcomes(store)) == {"postponed"}


def test_kept_by_an_engine_is_no_delivery_and_is_not_sent_again_by_itself(store: Store, start: Start) -> None:
    with receiver(receivers.says("CA")) as far_end:
        clinic(store, far_end, results=2)
        start()
        within(10, lambda: states(store) == ["refused", "refused"])
        assert len(far_end.messages) == 2
    assert [row[0] for row in store.rows("SELECT level FROM evidence")] == ["accepted", "accepted"]
    assert "kept by the engine" in store.value("SELECT last_error FROM report WHERE id = 1")


# ---------------------------------------------------------------- order


def test_a_version_waits_until_the_one_before_it_is_answered(store: Store, start: Start) -> None:
    let_go = threading.Event()

    def slow_at_first(visit: receivers.Visit, octets: bytes) -> bool:
        return receivers.accepts(visit, octets) if let_go.is_set() else True

    with receiver(slow_at_first) as far_end:
        (result,) = clinic(store, far_end)
        start()
        within(5, lambda: len(far_end.messages) >= 1)
        store.version(result, "p-a", "corrected", inr=quantity("2.6"))
        other = store.result("p-a", "other")
        within(5, lambda: len(states(store)) == 3)
        within(5, lambda: len(set(far_end.messages)) == 2)
        values = {field(octets, "OBX", 5) for octets in far_end.messages}
        assert values == {"2.50"}  # the first version and the other result, never the second version
        let_go.set()
        within(10, all_delivered(store, 3))
        of_result = [
            field(octets, "OBX", 5) + field(octets, "OBX", 11)
            for octets in far_end.messages
            if field(octets, "OBR", 3) == field(far_end.messages[0], "OBR", 3)
        ]
        assert of_result[-1] == "2.6C"
        assert set(of_result[:-1]) == {"2.50F"}
        assert other


def test_an_old_value_is_not_sent_after_a_newer_one(store: Store, start: Start) -> None:
    with receiver(receivers.says("AR", "AA")) as far_end:
        (result,) = clinic(store, far_end)
        start()
        within(5, lambda: states(store) == ["refused"])
        store.version(result, "p-a", "corrected", inr=quantity("2.6"))
        within(5, lambda: states(store) == ["refused", "delivered"])
    with pytest.raises(sendings.SendingError, match="superseded by version 2"), transaction(store.database):
        sendings.resend(store.database, 1, "Pat Clerk", store.clock.now())


# ---------------------------------------------------------------- destinations apart


def reasons(store: Store) -> dict[str, str]:
    """What each destination's waiting reports say; empty where none says anything yet."""
    rows = store.rows(
        "SELECT destination_id, max(last_error) FROM report WHERE state = 'waiting' GROUP BY destination_id"
    )
    return {row[0]: row[1] for row in rows}


def test_dead_destinations_delay_nobody(store: Store, start: Start) -> None:
    with (
        receiver(receivers.accepts) as live,
        receiver(receivers.keeps_silent) as silent,
        receiver(receivers.closes_without_answer) as closing,
    ):
        gone = Receiver(receivers.accepts)
        gone.close()
        for name, far_end in (("gone", gone), ("silent", silent), ("closing", closing)):
            clinic(store, far_end, name, results=20)
        clinic(store, "nowhere", "no-address", results=20)
        clinic(store, live, "live", results=0)
        start(QUICK.model_copy(update={"answer_timeout_s": 3.0}))
        within(10, lambda: len(silent.messages) >= 1 and len(closing.messages) >= 1)
        waits = []
        for number in range(20):
            begun = time.monotonic()
            store.result("p-live", f"live {number}")
            within(5, lambda count=number + 1: len(live.messages) == count)  # type: ignore[misc]
            waits.append(time.monotonic() - begun)
        assert sorted(waits)[18] < 2
        within(10, lambda: len(said := reasons(store)) == 4 and all(said.values()))
    said = reasons(store)
    assert set(said) == {"gone-hl7", "silent-hl7", "closing-hl7", "no-address-hl7"}
    assert "refused" in said["gone-hl7"]
    assert "no whole answer" in said["silent-hl7"]
    assert "closed" in said["closing-hl7"]
    assert "mllp://host:port" in said["no-address-hl7"]


def test_names_that_nobody_resolves_delay_nobody(
    store: Store, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer, real = [], threading.Event(), socket.getaddrinfo

    def resolver(host: Any, *arguments: Any, **more: Any) -> Any:
        if not str(host).startswith("dead"):
            return real(host, *arguments, **more)
        asked.append(host)
        answer.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with receiver(receivers.accepts) as far_end:
        for number in range(40):
            clinic(store, f"mllp://dead{number}.example:2575", f"dead{number}")
        delivery = start()
        within(10, lambda: len(asked) >= 40)
        clinic(store, f"mllp://localhost:{far_end.port}", "live")
        within(5, lambda: len(far_end.messages) == 1)
        begun = time.monotonic()
        delivery.stop(timeout_s=0.1)
        assert time.monotonic() - begun < 5
        answer.set()


def test_a_far_end_that_comes_back_gets_everything(store: Store, start: Start) -> None:
    away = Receiver(receivers.accepts)
    away.close()
    clinic(store, away, results=15)
    start()
    within(10, lambda: outcomes(store).count("not_sent") >= 3)
    assert store.value("SELECT count(*) FROM evidence") == 0
    with receiver(receivers.accepts, away.port) as far_end:
        within(10, all_delivered(store, 15))
        assert len(far_end.messages) == 15


def test_a_destination_that_moves_is_found_at_its_new_address(store: Store, start: Start) -> None:
    with receiver(receivers.accepts) as old, receiver(receivers.accepts) as new:
        clinic(store, old)
        start()
        within(5, all_delivered(store, 1))
        store.write("UPDATE destination SET address = ?", new.address)
        store.result("p-a", "later")
        within(5, all_delivered(store, 2))
        assert (len(old.messages), len(new.messages)) == (1, 1)


def test_a_destination_that_moves_in_between_gets_the_rest_at_its_new_address(store: Store, start: Start) -> None:
    with receiver(receivers.accepts) as old, receiver(receivers.accepts) as new:

        def moves(visit: receivers.Visit, octets: bytes) -> bool:
            store.write("UPDATE destination SET address = ?", new.address)
            return receivers.accepts(visit, octets)

        old.habit = moves
        clinic(store, old, results=5)
        start()
        within(5, all_delivered(store, 5))
        assert (len(old.messages), len(new.messages)) == (1, 4)


# ---------------------------------------------------------------- stores that may not, clocks, stopping


def test_a_restored_store_delivers_nothing_until_a_person_has_reconciled_it(store: Store, start: Start) -> None:
    with receiver(receivers.accepts) as far_end:
        gone = Receiver(receivers.accepts)
        gone.close()
        clinic(store, gone)
        first = start()
        within(5, lambda: outcomes(store)[:1] == ["not_sent"])
        first.stop()
        store.write("UPDATE destination SET address = ?", far_end.address)
        store.restored()
        store.result("p-a", "after the restore")
        before = len(outcomes(store))
        start()
        time.sleep(10 * QUICK.poll_s)
        assert far_end.connections == 0
        assert len(outcomes(store)) == before
        assert states(store) == ["waiting"]
        store.reconcile()
        within(5, all_delivered(store, 2))
        every_copy_is_explained(store, far_end)


def test_a_production_store_keeps_simulated_results_to_itself(tmp_path: Path) -> None:
    store = Store(tmp_path / "production.db", role="production")
    with receiver(receivers.accepts) as far_end:
        clinic(store, far_end, results=0)
        store.results("p-a", 3, origin="simulator")
        real = store.result("p-a", "real")
        delivery = Delivery(store.path, QUICK, store.clock, "production")
        delivery.start()
        within(5, all_delivered(store, 1))
        delivery.stop()
        assert [field(octets, "MSH", 11) for octets in far_end.messages] == ["P"]
        assert store.value("SELECT result_id FROM report") == real
    store.close()


def test_the_role_must_be_the_stores(store: Store) -> None:
    with pytest.raises(StoreError, match="role"):
        Delivery(store.path, QUICK, store.clock, "production").start()


def test_a_clock_that_went_back_stalls_nothing(store: Store, start: Start) -> None:
    with receiver(receivers.accepts) as far_end:
        clinic(store, far_end, results=0)
        store.result("p-a")
        ahead = Clock(store.clock.now() + timedelta(days=30))
        far_end.habit = receivers.closes_without_answer
        first = start(clock=ahead)
        within(5, lambda: "ambiguous" in outcomes(store))
        first.stop()
        assert store.value("SELECT next_attempt_at FROM report") > utc(store.clock.now())
        far_end.habit = receivers.accepts
        start()
        within(5, all_delivered(store, 1))


def test_a_second_process_stands_by_and_takes_over(store: Store, start: Start) -> None:
    let_go = threading.Event()

    def slow(visit: receivers.Visit, octets: bytes) -> bool:
        let_go.wait(10)
        return receivers.accepts(visit, octets)

    patient = Settings(poll_s=0.05)
    with receiver(slow) as far_end:
        clinic(store, far_end)
        first = start(patient)
        within(5, lambda: len(far_end.messages) == 1)
        start(patient)
        assert not let_go.wait(0.5)  # long enough for the second one to send it too, if it did
        assert len(far_end.messages) == 1
        let_go.set()
        within(5, all_delivered(store, 1))
        first.stop()
        store.result("p-a", "later")
        within(5, all_delivered(store, 2))
        assert len(far_end.messages) == 2


def test_stopping_waits_for_the_answer_in_flight(store: Store, start: Start) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def slow(visit: receivers.Visit, octets: bytes) -> bool:
        asked.set()
        let_go.wait(10)
        return receivers.accepts(visit, octets)

    with receiver(slow) as far_end:
        clinic(store, far_end, results=3)
        delivery = start(Settings(poll_s=0.05))
        assert asked.wait(5)
        threading.Timer(0.2, let_go.set).start()
        delivery.stop(timeout_s=5)
        assert states(store) == ["delivered", "waiting", "waiting"]
        assert outcomes(store) == ["delivered"]
        delivery.start()
        within(5, all_delivered(store, 3))
        assert len(far_end.messages) == 3


def test_stopping_does_not_wait_for_ever(store: Store, start: Start) -> None:
    with receiver(receivers.keeps_silent) as far_end:
        clinic(store, far_end)
        delivery = start(Settings(poll_s=0.05, answer_timeout_s=600))
        within(5, lambda: len(far_end.messages) == 1)
        begun = time.monotonic()
        delivery.stop(timeout_s=0.2)
        assert time.monotonic() - begun < 3
    assert outcomes(store) == [None]  # it may have arrived: sent again after the next start


def test_a_store_that_refuses_for_a_while_loses_no_answer(
    store: Store, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The far end has said AA; another connection holds the store; what it said is written down afterwards."""

    def impatient(*arguments: Any) -> sqlite3.Connection:
        database = open_store(*arguments)
        database.execute("PRAGMA busy_timeout = 20")
        return database

    monkeypatch.setattr("gateway.reporting.delivery.open_store", impatient)
    with receiver(receivers.accepts) as far_end:
        clinic(store, far_end, results=1)

        def then_the_store_is_busy(visit: receivers.Visit, octets: bytes) -> bool:
            store.database.execute("BEGIN IMMEDIATE")
            return receivers.accepts(visit, octets)

        far_end.habit = then_the_store_is_busy
        start()
        within(5, lambda: "cannot be written down yet" in caplog.text)
        store.database.execute("COMMIT")
        within(10, all_delivered(store, 1))
        assert len(far_end.messages) == 1


def test_nothing_about_a_patient_is_logged(store: Store, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with receiver(receivers.says("AE", more=("ERR|||204|||||Doe Jane MRN-p-a is unknown",))) as far_end:
        clinic(store, far_end)
        store.result("p-a", "broken", text="{}")
        start()
        within(5, lambda: states(store) == ["refused"])
        within(5, lambda: store.value("SELECT count(*) FROM quarantine") == 1)
    assert caplog.records
    for word in ("Doe", "Jane", "MRN", "p-a ", "1948", "2.50", "SN000123"):
        assert word not in caplog.text
