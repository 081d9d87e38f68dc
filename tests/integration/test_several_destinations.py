"""Several destinations of one provider: their order, falling back, batches, and what each of them is told later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from gateway.clock import Clock, moment
from gateway.database import transaction
from gateway.reporting.alerts.configuration import IntendedUse
from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.delivery import Delivery
from gateway.reporting.queueing import NOTHING_STATED
from gateway.store import sendings
from tests.unit.reporting import receivers, scripted
from tests.unit.reporting.receivers import Receiver, receiver, within
from tests.unit.reporting.scripted import ACCEPTED, AWAY, DELIVERED, FAR_ENDS, REFUSED, FarEnd, busy
from tests.unit.reporting.stores import Store, quantity

QUICK = Settings(
    poll_s=0.05,
    connect_timeout_s=1,
    answer_timeout_s=0.5,
    retry_first_s=0.05,
    retry_most_s=0.2,
    receipt_first_s=0.05,
    receipt_most_s=0.1,
)
Start = Callable[..., Delivery]


@pytest.fixture(autouse=True)
def _channel() -> Iterator[None]:
    with scripted.installed():
        yield


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


@pytest.fixture
def start(store: Store) -> Iterator[Start]:
    begun: list[Delivery] = []

    def begin(
        settings: Settings = QUICK, clock: Clock | None = None, intended_use: IntendedUse = NOTHING_STATED
    ) -> Delivery:
        delivery = Delivery(store.path, settings, clock or store.clock, store.role, intended_use)
        delivery.start()
        begun.append(delivery)
        return delivery

    yield begin
    for delivery in begun:
        delivery.stop(timeout_s=0.1)


def place(store: Store, name: str, far_end: FarEnd | None = None, **columns: Any) -> FarEnd:
    """A destination of provider ``a`` on the scripted channel."""
    FAR_ENDS[f"scripted:{name}"] = far_end or FarEnd()
    store.provider("a", f"scripted:{name}", destination=name, channel="scripted", **columns)
    return FAR_ENDS[f"scripted:{name}"]


def reports(store: Store) -> dict[tuple[str, int], str]:
    """State by destination and version."""
    rows = store.rows("SELECT destination_id, version, state FROM report")
    return {(row[0], row[1]): row[2] for row in rows}


def stays(seconds: float, condition: Callable[[], object]) -> None:
    """For so long something holds."""
    begun = datetime.now(UTC)
    while datetime.now(UTC) - begun < timedelta(seconds=seconds):
        assert condition()


# ---------------------------------------------------------------- order and fall-back


def test_the_second_choice_gets_nothing_while_the_first_delivers(store: Store, start: Start) -> None:
    place(store, "first", rank=1, fall_back_after_s=1)
    second = place(store, "second", rank=2)
    store.patient("p", "a")
    store.result("p")
    start()
    within(10, lambda: reports(store) == {("first", 1): "delivered"})
    stays(1.3, lambda: reports(store) == {("first", 1): "delivered"})
    assert second.got == []
    assert store.value("SELECT fall_back_at FROM report") is None


def test_destinations_of_one_rank_all_get_it(store: Store, start: Start) -> None:
    for name in ("one", "other"):
        place(store, name)
    store.patient("p", "a")
    store.result("p")
    start()
    within(10, lambda: reports(store) == {("one", 1): "delivered", ("other", 1): "delivered"})


def test_what_is_not_delivered_in_its_time_falls_back_and_the_first_still_gets_it(
    store: Store, start: Start
) -> None:
    gone = Receiver(receivers.accepts)
    gone.close()
    store.provider("a", gone.address, destination="first", rank=1, fall_back_after_s=1)
    place(store, "second", rank=2, fall_back_after_s=600)
    place(store, "third", rank=3)
    store.patient("p", "a")
    store.result("p")
    start()
    within(10, lambda: reports(store) == {("first", 1): "waiting", ("second", 1): "delivered"})
    created, fell_back = store.rows("SELECT created_at, fell_back_at FROM report WHERE destination_id = 'first'")[0]
    assert moment(fell_back) - moment(created) >= timedelta(seconds=1)
    with receiver(receivers.accepts, gone.port) as far_end:
        within(10, lambda: reports(store) == {("first", 1): "delivered", ("second", 1): "delivered"})
        assert len(far_end.messages) == 1


def test_what_is_refused_falls_back_at_once_and_waits_for_a_person_too(store: Store, start: Start) -> None:
    place(store, "first", FarEnd([REFUSED]), rank=1)
    place(store, "second", FarEnd([REFUSED]), rank=2)
    place(store, "third", rank=3)
    store.patient("p", "a")
    store.result("p")
    start()
    wanted = {("first", 1): "refused", ("second", 1): "refused", ("third", 1): "delivered"}
    within(10, lambda: reports(store) == wanted)
    stays(0.3, lambda: reports(store) == wanted)


def test_a_rank_fails_only_when_none_of_it_delivers(store: Store, start: Start) -> None:
    place(store, "one", FarEnd([REFUSED]), rank=1)
    place(store, "other", rank=1)
    place(store, "second", rank=2)
    store.patient("p", "a")
    store.result("p")
    start()
    wanted = {("one", 1): "refused", ("other", 1): "delivered"}
    within(10, lambda: reports(store) == wanted)
    stays(0.5, lambda: reports(store) == wanted)


def test_who_got_the_first_version_gets_every_later_one_whatever_its_rank(store: Store, start: Start) -> None:
    first = place(store, "first", FarEnd([REFUSED, DELIVERED]), rank=1)
    second = place(store, "second", rank=2)
    store.patient("p", "a")
    result = store.result("p")
    start()
    within(10, lambda: reports(store).get(("second", 1)) == "delivered")
    store.version(result, "p", "corrected", inr=quantity("2.6"))
    within(10, lambda: len(first.got) == len(second.got) == 2)
    assert b"corrected 2.6" in second.got[1]
    store.version(result, "p", "retracted")
    within(10, lambda: reports(store).get(("first", 3)) == reports(store).get(("second", 3)) == "delivered")
    assert b"retracted" in first.got[2]


def test_a_correction_that_finds_the_first_choice_dead_still_arrives(store: Store, start: Start) -> None:
    first = place(store, "first", rank=1, fall_back_after_s=1)
    place(store, "second", rank=2)
    store.patient("p", "a")
    result = store.result("p")
    start()
    within(10, lambda: reports(store) == {("first", 1): "delivered"})
    first.reachable = False
    first.answers = [AWAY]
    store.version(result, "p", "corrected", inr=quantity("2.6"))
    within(10, lambda: reports(store).get(("second", 2)) == "delivered")


def test_a_destination_that_goes_live_late_gets_what_nobody_delivered(store: Store, start: Start) -> None:
    place(store, "old")
    new = place(store, "new", live=0, live_at=None)
    store.patient("p", "a")
    store.result("p", "before")
    start()
    within(10, lambda: reports(store) == {("old", 1): "delivered"})
    store.write("UPDATE destination SET live = 1, live_at = '9' WHERE id = 'new'")
    with transaction(store.database):
        store._decided("go live")
    store.result("p", "after")
    within(10, lambda: len(new.got) == 1)
    stays(0.3, lambda: len(new.got) == 1)
    assert new.got[0].startswith(b"after")


# ---------------------------------------------------------------- what a far end may say


def test_evidence_is_bound_to_the_octets_the_peer_and_the_software(store: Store, start: Start) -> None:
    far_end = place(store, "first")
    store.patient("p", "a")
    store.result("p")
    start()
    within(10, lambda: reports(store) == {("first", 1): "delivered"})
    (row,) = store.rows("SELECT level, octets, certificate, message_sha256, software FROM evidence")
    digest = hashlib.sha256(far_end.got[0]).hexdigest()
    assert tuple(row) == ("delivered", b"yes", "ab" * 32, digest, f"inr-gateway {__version__}")


def test_a_far_end_that_asks_for_time_gets_it_and_nothing_counts_against_the_report(
    store: Store, start: Start
) -> None:
    far_end = place(store, "first", FarEnd([*[busy(0.4)] * 4, DELIVERED]))
    store.patient("p", "a")
    store.results("p", 3)
    begun = datetime.now(UTC)
    start(QUICK.model_copy(update={"postponed_most": 2}))
    within(10, lambda: len(far_end.got) == 1)
    within(5, lambda: store.rows("SELECT state FROM breaker"))
    assert tuple(store.rows("SELECT state, why, asked FROM breaker")[0]) == ("open", "busy", 1)
    within(15, lambda: [*reports(store).values()] == ["delivered"] and len(far_end.got) == 7)
    assert datetime.now(UTC) - begun >= timedelta(seconds=1.6)
    within(5, lambda: store.value("SELECT state FROM breaker") == "closed")
    outcomes = [row[0] for row in store.rows("SELECT outcome FROM attempt ORDER BY id")]
    assert outcomes == ["busy"] * 4 + ["delivered"] * 3


def test_the_time_that_a_far_end_asked_for_outlives_a_restart(store: Store, start: Start) -> None:
    far_end = place(store, "first", FarEnd([busy(3600)]))
    store.patient("p", "a")
    store.result("p")
    delivery = start()
    within(10, lambda: store.rows("SELECT 1 FROM breaker WHERE state = 'open'"))
    delivery.stop()
    far_end.answers = [DELIVERED]
    start()
    stays(0.5, lambda: len(far_end.got) == 1)


def test_a_channel_that_fails_is_no_reason_to_stop(store: Store, start: Start) -> None:
    far_end = place(store, "first", FarEnd([RuntimeError("a mistake"), DELIVERED]))
    store.patient("p", "a")
    store.results("p", 2)
    start()
    within(10, lambda: store.value("SELECT count(*) FROM report WHERE state = 'delivered'") == 2)
    assert store.value("SELECT count(*) FROM attempt WHERE outcome = 'ambiguous'") == 1
    assert len(far_end.got) == 3


def test_a_breaker_opens_is_tried_and_closes(store: Store, start: Start) -> None:
    far_end = place(store, "first", FarEnd(reachable=False))
    store.patient("p", "a")
    store.result("p")
    start()
    within(10, lambda: store.rows("SELECT 1 FROM breaker WHERE state = 'open' AND failures >= 4"))
    row = store.rows("SELECT why, asked, trial_at FROM breaker")[0]
    assert (row["why"], row["asked"]) == ("nobody there", 0)
    assert row["trial_at"] is not None
    assert far_end.got == []
    far_end.reachable = True
    within(10, lambda: [*reports(store).values()] == ["delivered"])
    within(5, lambda: store.value("SELECT state FROM breaker") == "closed")
    assert store.value("SELECT failures FROM breaker") == 0


def test_what_a_person_repaired_is_tried_at_once(store: Store, start: Start) -> None:
    far_end = place(store, "first", FarEnd(reachable=False))
    store.patient("p", "a")
    store.result("p")
    start(QUICK.model_copy(update={"retry_first_s": 3000.0, "retry_most_s": 3000.0}))
    within(10, lambda: store.value("SELECT count(*) FROM attempt") == 1)
    far_end.reachable = True
    with transaction(store.database):
        store._decided("registry import")
    within(10, lambda: [*reports(store).values()] == ["delivered"])


def test_a_receipt_that_comes_later_makes_it_delivered(store: Store, start: Start) -> None:
    far_end = place(store, "first", FarEnd([ACCEPTED], receipts=[None, None, DELIVERED]))
    store.patient("p", "a")
    store.result("p")
    start()
    within(10, lambda: [*reports(store).values()] == ["delivered"])
    assert (len(far_end.got), far_end.looks) == (1, 3)
    assert [row[0] for row in store.rows("SELECT level FROM evidence ORDER BY id")] == ["accepted", "delivered"]
    assert store.value("SELECT receipt_at FROM report") is None


def test_what_is_only_accepted_falls_back_and_its_receipt_is_not_looked_for_for_ever(
    store: Store, start: Start
) -> None:
    place(store, "first", FarEnd([ACCEPTED], receipts=[]), rank=1, fall_back_after_s=1)
    place(store, "second", rank=2)
    store.patient("p", "a")
    store.result("p")
    start(QUICK.model_copy(update={"receipt_wait_s": 0.5}))
    within(10, lambda: reports(store) == {("first", 1): "accepted", ("second", 1): "delivered"})
    within(5, lambda: "no receipt came" in store.value("SELECT last_error FROM report WHERE id = 1"))
    assert store.value("SELECT receipt_at FROM report WHERE id = 1") is None


def test_pacing_leaves_a_pause_between_two_reports(store: Store, start: Start) -> None:
    with receiver(receivers.accepts) as far_end:
        store.provider("a", far_end.address, settings=json.dumps({"pause_s": 0.3}))
        store.patient("p", "a")
        store.results("p", 3)
        begun = datetime.now(UTC)
        start()
        within(10, lambda: len(far_end.messages) == 3)
        assert datetime.now(UTC) - begun >= timedelta(seconds=0.6)


def test_a_destination_that_is_not_live_gets_nothing_until_it_is(store: Store, start: Start) -> None:
    far_end = place(store, "first")
    store.patient("p", "a")
    result = store.result("p")
    start()
    within(10, lambda: [*reports(store).values()] == ["delivered"])
    store.write("UPDATE destination SET live = 0")
    store.version(result, "p", "corrected", inr=quantity("2.6"))
    within(10, lambda: reports(store).get(("first", 2)) == "waiting")
    stays(0.3, lambda: len(far_end.got) == 1)
    store.write("UPDATE destination SET live = 1")
    with transaction(store.database):
        store._decided("go live")
    within(10, lambda: reports(store).get(("first", 2)) == "delivered")


# ---------------------------------------------------------------- batches


FRIDAY_NOON = datetime(2026, 3, 13, 16, 0, tzinfo=UTC)  # 12:00 in New York


def test_a_batch_leaves_at_its_hour_in_the_providers_zone_each_with_its_own_evidence(
    store: Store, start: Start
) -> None:
    store.clock = Clock(FRIDAY_NOON)
    far_end = place(store, "first", mode="batch", schedule="Mon-Fri 08:00")
    store.patient("p", "a")
    store.results("p", 3)
    delivery = start()
    within(10, lambda: len(reports(store)) == 1 and store.value("SELECT count(*) FROM report") == 3)
    assert {row[0] for row in store.rows("SELECT not_before FROM report")} == {"2026-03-16T12:00:00.000Z"}
    stays(0.3, lambda: far_end.got == [])
    delivery.stop()
    store.clock = Clock(datetime(2026, 3, 16, 11, 59, 59, tzinfo=UTC))  # Monday, one second before
    start(clock=store.clock)
    within(10, lambda: store.value("SELECT count(*) FROM report WHERE state = 'delivered'") == 3)
    rows = store.rows("SELECT level, at FROM evidence ORDER BY id")
    assert [row["level"] for row in rows] == ["delivered"] * 3
    assert all(row["at"] >= "2026-03-16T12:00:00" for row in rows)


def test_by_exception_without_known_limits_leaves_at_once(store: Store, start: Start) -> None:
    place(store, "first", mode="exception", schedule="08:00")
    store.patient("p", "a")
    store.result("p")
    start()
    within(10, lambda: [*reports(store).values()] == ["delivered"])


def test_by_exception_what_is_in_its_target_waits_and_what_is_not_leaves_at_once(
    store: Store, start: Start
) -> None:
    store.clock = Clock(FRIDAY_NOON)
    far_end = place(store, "first", mode="exception", schedule="Mon-Fri 08:00")
    store.patient("p", "a")
    for pair, low, high in (("target", "2.0", "3.0"), ("critical", "1.5", "5.0")):
        store.write(
            "INSERT INTO limit_pair (level, pair, from_date, low, high, stated_by, recorded_at)"
            " VALUES ('clinic', ?, '2020-01-01', ?, ?, 'Dr Ada', '2020-01-01T00:00:00.000Z')",
            pair,
            low,
            high,
        )
    for name, value in (("inside", "2.5"), ("below", "1.9"), ("critical", "5.0"), ("above", "3.1")):
        store.result("p", name, inr=quantity(value))
    store.result("p", "off the range", inr=quantity("8.0", ">"))
    stated = IntendedUse(statement="Shows results against targets", stated_by="Ada", stated_on=date(2026, 1, 1))
    start(intended_use=stated)
    within(10, lambda: len(far_end.got) == 4)
    within(5, lambda: len(store.rows("SELECT 1 FROM report WHERE state = 'delivered'")) == 4)
    (held,) = store.rows(
        "SELECT key, not_before FROM report r JOIN result k ON k.id = r.result_id WHERE not_before"
    )
    assert tuple(held) == ("inside", "2026-03-16T12:00:00.000Z")


def test_a_correction_of_what_has_left_does_not_wait_for_the_batch(store: Store, start: Start) -> None:
    store.clock = Clock(FRIDAY_NOON)
    far_end = place(store, "first", mode="batch", schedule="Mon-Fri 08:00")
    store.patient("p", "a")
    sent, held = store.result("p", "sent"), store.result("p", "held")
    start()
    within(10, lambda: store.value("SELECT count(*) FROM report") == 2)
    store.write("UPDATE report SET not_before = NULL, next_attempt_at = created_at WHERE result_id = ?", sent)
    with transaction(store.database):
        store._decided("test")
    within(10, lambda: len(far_end.got) == 1)
    for result in (sent, held):
        store.version(result, "p", "corrected", inr=quantity("2.6"))
    within(10, lambda: len(far_end.got) == 2)
    assert far_end.got[1] == b"sent corrected 2.6"
    stays(0.3, lambda: len(far_end.got) == 2)
    rows = store.rows("SELECT not_before FROM report WHERE result_id = ?", held)
    assert {row[0] for row in rows} == {"2026-03-16T12:00:00.000Z"}


def test_the_time_to_fall_back_counts_from_the_hour_of_the_batch(store: Store, start: Start) -> None:
    store.clock = Clock(FRIDAY_NOON)
    place(store, "first", mode="batch", schedule="Mon-Fri 08:00", fall_back_after_s=60)
    place(store, "second", rank=2)
    store.patient("p", "a")
    store.result("p")
    start()
    within(10, lambda: reports(store) == {("first", 1): "waiting"})
    assert store.value("SELECT fall_back_at FROM report") == "2026-03-16T12:01:00.000Z"


# ---------------------------------------------------------------- acts of a person


def test_seen_is_stated_by_a_person_of_a_report_that_has_left(store: Store, start: Start) -> None:
    place(store, "first", FarEnd([REFUSED]))
    store.patient("p", "a")
    store.result("p")
    start()
    within(10, lambda: [*reports(store).values()] == ["refused"])
    with transaction(store.database):
        sendings.seen(store.database, 1, "Pat Clerk", "read back by phone", store.clock.now())
    assert [*reports(store).values()] == ["delivered"]
    row: Any = store.rows("SELECT level, peer, octets, message_sha256 FROM evidence ORDER BY id DESC LIMIT 1")[0]
    assert tuple(row)[:3] == ("seen", "Pat Clerk", b"read back by phone")
    assert row["message_sha256"] == hashlib.sha256(store.value("SELECT octets FROM report")).hexdigest()
    decision = store.rows("SELECT by_name, act, subject, note FROM decision")[-1]
    assert tuple(decision) == ("Pat Clerk", "seen", "report 1", "read back by phone")


def test_what_never_left_was_never_seen(store: Store, start: Start) -> None:
    place(store, "first", FarEnd(reachable=False))
    store.patient("p", "a")
    store.result("p")
    start()
    within(10, lambda: store.value("SELECT count(*) FROM attempt") >= 2)
    with pytest.raises(sendings.SendingError, match="was never sent"), transaction(store.database):
        sendings.seen(store.database, 1, "Pat Clerk", "by phone", store.clock.now())
