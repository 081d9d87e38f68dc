"""The courier against every misbehaviour of the simulated provider: it survives, and credits what is right."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.reporting.configuration import Delivery as Settings
from gateway.reporting.delivery import Delivery
from simulators.ledger import Ledger
from simulators.provider.behaviour import Manner, Script
from simulators.provider.server import Provider
from tests.unit.reporting.lint import lint
from tests.unit.reporting.receivers import field, within
from tests.unit.reporting.stores import Store

QUICK = Settings(
    poll_s=0.05, connect_timeout_s=2, answer_timeout_s=0.3, retry_first_s=0.02, retry_most_s=0.05, postponed_most=3
)
RESULTS = 5


@contextmanager
def provider(*script: str) -> Iterator[tuple[str, Ledger]]:
    ledger, ready, box = Ledger(), threading.Event(), dict[str, Any]()

    async def serve() -> None:
        box["loop"], box["end"] = asyncio.get_running_loop(), asyncio.Event()
        serving = Provider(ledger, Script.parse(script))
        box["address"] = "mllp://{}:{}".format(*await serving.start())
        ready.set()
        await box["end"].wait()
        await serving.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield box["address"], ledger
    finally:
        box["loop"].call_soon_threadsafe(box["end"].set)
        thread.join(10)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


def carry(store: Store, ledger: Ledger, address: str, *, waits: int = 0, **destination: str) -> list[str]:
    """Deliver some results; all but so many are delivered. Gives the outcomes of all attempts in order."""
    store.provider("a", address, **destination)
    store.results(store.patient("p", "a"), RESULTS)
    delivery = Delivery(store.path, QUICK, store.clock, "rig")
    delivery.start()
    try:
        within(30, lambda: (states(store)["delivered"], states(store)["refused"]) == (RESULTS - waits, waits))
    finally:
        delivery.stop()
    rightly_credited(store, ledger)
    return [row[0] for row in store.rows("SELECT outcome FROM attempt ORDER BY id")]


def states(store: Store) -> Counter[str]:
    return Counter(row[0] for row in store.rows("SELECT state FROM report"))


def rightly_credited(store: Store, ledger: Ledger) -> None:
    """Each acknowledgement that was credited names its report, and each further copy has an open attempt."""
    credited = store.rows(
        "SELECT control_id, e.octets FROM evidence e JOIN report r ON r.id = e.report_id"
        " WHERE e.level = 'delivered'"
    )
    for row in credited:
        assert (field(row["octets"], "MSA", 1), field(row["octets"], "MSA", 2)) == ("AA", row["control_id"])
    copies = Counter(line["control_id"] for line in ledger.lines if line["accepted"])
    attempts = store.rows(
        "SELECT control_id, sum(outcome = 'delivered') AS credited, sum(outcome = 'ambiguous') AS unknown"
        " FROM report r JOIN attempt a ON a.report_id = r.id GROUP BY r.id"
    )
    for row in attempts:
        assert row["credited"] <= 1
        assert row["credited"] <= copies[row["control_id"]] <= row["credited"] + row["unknown"]
    assert all(line["same_octets"] is not False for line in ledger.lines)


HARMLESS = ("accept", "close-after", "twice", "ack-2.3", "mangle")
"""Every message gets its own acknowledgement, in whatever form: nothing is sent again.

One may be caught by the end of a connection before that habit is known.
"""


@pytest.mark.parametrize("manner", HARMLESS)
def test_what_is_its_own_acknowledgement_counts_however_it_comes(store: Store, manner: str) -> None:
    with provider(f"*={manner}") as (address, ledger):
        outcomes = carry(store, ledger, address)
    assert outcomes.count("delivered") == RESULTS
    assert set(outcomes) <= {"delivered", "not_sent", "ambiguous"}
    assert outcomes.count("ambiguous") <= (1 if manner == "close-after" else 0)


NO_ANSWERS = ("silent", "late:0.6", "hang-up", "wrong-id", "half-frame", "garbage", "stale-first")


@pytest.mark.parametrize("manner", NO_ANSWERS)
def test_what_is_no_answer_is_not_counted_and_the_same_octets_go_again(store: Store, manner: str) -> None:
    """Twice so, at the beginning and in the middle; the others are not touched by it."""
    with provider(f"1={manner}", f"4={manner}") as (address, ledger):
        outcomes = carry(store, ledger, address)
    assert Counter(outcomes) == {"delivered": RESULTS, "ambiguous": 2}
    assert len(ledger.lines) == RESULTS + 2


def test_an_older_answer_that_comes_first_is_never_credited_even_on_a_new_connection(store: Store) -> None:
    with provider("1-8=stale-first") as (address, ledger):
        outcomes = carry(store, ledger, address)
    assert outcomes.count("ambiguous") == 8
    assert outcomes.count("delivered") == RESULTS


@pytest.mark.parametrize("code", ["206", "207"])
def test_not_now_is_tried_again(store: Store, code: str) -> None:
    with provider(f"1=AE:{code}", f"3-5=AE:{code}") as (address, ledger):
        outcomes = carry(store, ledger, address)
    assert outcomes.count("postponed") == 4
    assert outcomes.count("delivered") == RESULTS


def test_not_now_for_ever_is_bounded(store: Store) -> None:
    with provider("*=AE:207") as (address, ledger):
        outcomes = carry(store, ledger, address, waits=RESULTS)
    assert Counter(outcomes) == {"postponed": RESULTS * QUICK.postponed_most}
    assert not any(line["accepted"] for line in ledger.lines)


@pytest.mark.parametrize(
    ("manner", "why"),
    [
        ("AR-words", "AR: the application does not take this message"),
        ("AR:204", "the application does not take this message"),
        ("AE:102", "102 wrong data type"),
        ("CR", "the message is not taken"),
    ],
)
def test_a_refusal_waits_for_a_person_with_the_far_ends_words(store: Store, manner: str, why: str) -> None:
    with provider(f"2={manner}") as (address, ledger):
        outcomes = carry(store, ledger, address, waits=1)
    assert Counter(outcomes) == {"delivered": RESULTS - 1, "refused": 1}
    assert why in store.value("SELECT last_error FROM report WHERE state = 'refused'")


def test_what_an_engine_alone_took_is_neither_credited_nor_sent_again(store: Store) -> None:
    with provider("*=CA") as (address, ledger):
        store.provider("a", address)
        store.results(store.patient("p", "a"), 2)
        delivery = Delivery(store.path, QUICK, store.clock, "rig")
        delivery.start()
        try:
            within(10, lambda: states(store) == {"refused": 2})
        finally:
            delivery.stop()
        assert [line["copy"] for line in ledger.lines] == [1, 1]
    rightly_credited(store, ledger)
    assert store.value("SELECT count(*) FROM evidence WHERE level = 'delivered'") == 0


def test_a_connection_each_spares_what_a_known_habit_would_cost(store: Store) -> None:
    with provider("*=close-after") as (address, ledger):
        outcomes = carry(store, ledger, address, settings='{"connection_each": true}')
    assert outcomes == ["delivered"] * RESULTS


def test_a_device_observation_report_goes_the_same_way(store: Store) -> None:
    # The second or the third message is the repetition of the first, which was taken and is acknowledged again.
    with provider("1=stale-first", "2-3=AE:206") as (address, ledger):
        found = Counter(carry(store, ledger, address, channel="pcd01"))
    assert found.pop("postponed") in (1, 2)
    assert found == {"ambiguous": 1, "delivered": RESULTS}
    for line in ledger.lines:
        assert lint(line["octets"].encode("latin-1")) == []
        assert "|P|2.6|||NE|AL|" in line["octets"] or "|T|2.6|||NE|AL|" in line["octets"]


def test_every_manner_is_tried_here() -> None:
    tried = {word.partition(":")[0] for word in (*HARMLESS, *NO_ANSWERS, "AE", "AR", "AR-words", "CA", "CR")}
    assert tried | {"CE"} == {manner.value for manner in Manner}  # CE is judged as AE is
