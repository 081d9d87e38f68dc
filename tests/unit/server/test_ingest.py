"""Every message gets exactly one verdict and is kept; only what is known for certain becomes a version."""

from __future__ import annotations

import json
import logging
import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.database import transaction
from gateway.mqtt import topics
from gateway.result import DeviceTime, Kind, Meter
from gateway.server import ingest as ingesting
from gateway.server.ingest import CommitError, Message
from gateway.server.placement import place
from gateway.server.refusals import Reason
from gateway.store import readings
from gateway.wire.reading import MAX_PAYLOAD_OCTETS, Fault, HubClock, Origin, Repetition, digest, encode
from gateway.wire.receipt import Verdict
from tests.unit.server.stage import (
    JOURNAL,
    LIMITS,
    OTHER_JOURNAL,
    REGISTRY,
    Stage,
    clock,
    message,
    reading,
    result,
)

TOPIC = topics.reading("home-1", JOURNAL, 1)


def one_reason(stage: Stage) -> str:
    (entry,) = stage.waiting()
    return entry.reason


def test_a_good_result_becomes_one_final_version_of_its_patient(stage: Stage) -> None:
    (taken,) = stage.take(reading(1))
    assert (taken.verdict, taken.opened, taken.repeat) == (Verdict.STORED, (), False)
    (version,) = stage.versions()
    assert (version["version"], version["status"], version["patient_id"]) == (1, "final", "pat")
    assert version["taken_at"] == "2026-03-14T14:28:00.000Z"
    assert (version["zone"], version["quality"], version["origin"]) == (
        "America/Los_Angeles",
        "assumed_zone",
        "meter",
    )
    assert json.loads(version["body"])["inr"]["text"] == "2.5"
    assert stage.marks() == {str(JOURNAL): 1}


def test_a_repeat_gets_its_verdict_again_and_adds_nothing(stage: Stage) -> None:
    first = stage.take(reading(1), reading(1))
    again = stage.take(reading(1))
    assert [taken.repeat for taken in (*first, *again)] == [False, True, True]
    assert {taken.verdict for taken in (*first, *again)} == {Verdict.STORED}
    assert (stage.count("reading"), stage.count("version")) == (1, 1)


def test_a_repeat_of_what_was_quarantined_stays_quarantined(stage: Stage) -> None:
    bad = Message(TOPIC, b"{")
    assert [taken.verdict for taken in stage.take_messages([bad, bad])] == [Verdict.QUARANTINED] * 2
    assert stage.count("quarantine") == 1


def test_the_same_test_read_by_another_hub_is_one_result(stage: Stage) -> None:
    stage.take(reading(1), reading(1, journal=OTHER_JOURNAL, hub="home-2"))
    assert (stage.count("reading"), stage.count("result"), stage.count("version")) == (2, 1, 1)


def test_other_octets_under_the_same_name_are_kept_and_shown(stage: Stage) -> None:
    (taken,) = stage.take(reading(1))
    (other,) = stage.take(reading(1, result(inr="3.1")))
    assert (taken.verdict, other.verdict) == (Verdict.STORED, Verdict.QUARANTINED)
    assert taken.sha256 != other.sha256
    assert one_reason(stage) == Reason.ALTERED
    assert (stage.count("reading"), stage.count("version")) == (2, 1)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.MALFORMED),
        (b"\xff\xfe", Reason.MALFORMED),
        (b"[]", Reason.MALFORMED),
        (b'{"schema": "inr-gateway/reading/2"}', Reason.SCHEMA_VERSION),
        (b'{"schema": 7}', Reason.MALFORMED),
        (b"[" * 100_000, Reason.MALFORMED),
        (b"x" * (MAX_PAYLOAD_OCTETS + 1), Reason.OVERSIZED),
        (encode(reading(2)), Reason.NAME_MISMATCH),
        (encode(reading(1, hub="home-2")), Reason.NAME_MISMATCH),
        (encode(reading(1, journal=OTHER_JOURNAL)), Reason.NAME_MISMATCH),
        (encode(reading(1, fault=Fault(reason="checksum", detail="at 12"))), Reason.FAULT),
    ],
)
def test_what_is_no_reading_is_kept_with_its_octets_and_a_receipt(
    stage: Stage, payload: bytes, reason: Reason
) -> None:
    (taken,) = stage.take_messages([Message(TOPIC, payload)])
    assert (taken.verdict, taken.sha256) == (Verdict.QUARANTINED, digest(payload))
    assert taken.name is not None
    assert one_reason(stage) == reason
    (row,) = stage.rows("SELECT * FROM reading")
    assert (row["size"], row["sha256"]) == (len(payload), digest(payload))
    assert payload.startswith(row["payload"])
    assert row["payload"] == payload[:MAX_PAYLOAD_OCTETS]
    assert stage.marks() == {str(JOURNAL): 1}


def test_the_detail_of_a_wrong_schema_names_both_versions(stage: Stage) -> None:
    stage.take_messages([Message(TOPIC, b'{"schema": "inr-gateway/reading/9"}')])
    (entry,) = stage.waiting()
    assert "inr-gateway/reading/9" in entry.detail
    assert "inr-gateway/reading/1" in entry.detail


def test_a_topic_without_a_name_is_kept_and_gets_no_receipt(stage: Stage) -> None:
    stray = Message("inr/1/hub/home-1/reading/no-uuid/1", b"octets")
    first, again = stage.take_messages([stray, stray])
    assert (first.name, first.repeat, again.repeat) == (None, False, True)
    assert one_reason(stage) == Reason.TOPIC
    (row,) = stage.rows("SELECT * FROM stray")
    assert (row["topic"], row["payload"]) == (stray.topic, b"octets")


def test_a_bad_message_stalls_none_of_its_batch(stage: Stage) -> None:
    times = [f"2026-03-{day:02}T07:00:00" for day in range(1, 6)]
    good = [message(reading(number, result(time))) for number, time in enumerate(times, 1)]
    bad = [Message(topics.reading("home-1", OTHER_JOURNAL, number), b"bad") for number in range(1, 6)]
    mixed = [each for pair in zip(good, bad, strict=True) for each in pair]
    verdicts = [taken.verdict for taken in stage.take_messages(mixed)]
    assert verdicts == [Verdict.STORED, Verdict.QUARANTINED] * 5
    assert stage.count("version") == 5


def test_a_message_that_fails_in_an_unforeseen_way_is_quarantined_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(database: Any, book: Any, what: Any, new: Any, received: Any) -> Any:
        if what.number == 2:
            raise ZeroDivisionError("a value of a patient")
        return place(database, book, what, new, received)

    monkeypatch.setattr(ingesting, "place", failing)
    taken = stage.take(*(reading(number, result(f"2026-03-0{number}T07:00:00")) for number in (1, 2, 3)))
    assert [each.verdict.value for each in taken] == ["stored", "quarantined", "stored"]
    assert one_reason(stage) == Reason.INTERNAL_ERROR
    assert stage.count("version") == 2
    assert stage.marks() == {str(JOURNAL): 3}
    assert "a value of a patient" not in caplog.text
    monkeypatch.undo()
    stage.release(stage.waiting()[0].id)
    assert stage.count("version") == 3


def test_a_store_that_cannot_commit_takes_nothing_and_says_so(stage: Stage) -> None:
    other = sqlite3.connect(stage.path, timeout=0, isolation_level=None)
    stage.database.execute("PRAGMA busy_timeout = 0")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(CommitError):
        stage.take(reading(1))
    other.execute("ROLLBACK")
    other.close()
    assert stage.count("reading") == 0
    assert stage.take(reading(1))[0].verdict is Verdict.STORED


def test_a_full_disk_takes_nothing_and_the_next_try_works(stage: Stage) -> None:
    (pages,) = stage.rows("PRAGMA page_count")[0]
    stage.database.execute(f"PRAGMA max_page_count = {pages}")
    many = [reading(number, result(f"2026-03-01T07:{number:02}:00")) for number in range(1, 60)]
    with pytest.raises(CommitError):
        stage.take(*many)
    assert stage.count("reading") == 0
    stage.database.execute("PRAGMA max_page_count = 1000000")
    assert {taken.verdict for taken in stage.take(*many)} == {Verdict.STORED}


# ---------------------------------------------------------------- origin


def test_only_the_desk_can_say_that_a_person_entered_it(stage: Stage) -> None:
    stage.take(reading(1, origin=Origin.PERSON))
    assert stage.versions() == []
    assert [entry.reason for entry in stage.waiting()] == ["origin"]


@pytest.mark.parametrize("origin", [Origin.SIMULATOR, Origin.REPLAY])
def test_production_never_counts_what_is_simulated_or_replayed(stage: Stage, origin: Origin) -> None:
    stage.take(reading(1, origin=origin))
    assert one_reason(stage) == Reason.ORIGIN
    assert stage.count("version") == 0


def test_a_rig_hub_is_a_simulator_whatever_it_says(stage: Stage, tmp_path_factory: Any) -> None:
    stage.take(reading(1, hub="rig-1", origin=Origin.METER))
    assert one_reason(stage) == Reason.ORIGIN
    rig = Stage(tmp_path_factory.mktemp("rig"), role="rig")
    rig.take(reading(1, hub="rig-1", origin=Origin.METER))
    assert [row["origin"] for row in rig.versions()] == ["simulator"]
    rig.close()


def test_an_unregistered_hub_waits_until_it_is_registered(stage: Stage) -> None:
    stage.take(reading(1, hub="new"))
    assert one_reason(stage) == Reason.UNKNOWN_HUB
    stage.register(REGISTRY + '[[hubs]]\nid = "new"\nkind = "home"\n')
    assert one_reason(stage) == Reason.UNKNOWN_HUB
    stage.release(stage.waiting()[0].id)
    assert (stage.waiting(), stage.count("version")) == ([], 1)


@pytest.mark.parametrize("kind", [Kind.CONTROL, Kind.ERROR, Kind.TEST, Kind.CALIBRATION])
def test_what_is_no_patient_result_is_stored_and_never_a_version(stage: Stage, kind: Kind) -> None:
    (taken,) = stage.take(reading(1, result(kind=kind)))
    assert taken.verdict is Verdict.STORED
    assert [row["kind"] for row in stage.rows("SELECT kind FROM result")] == [kind.value]
    assert stage.count("version") == 0


# ---------------------------------------------------------------- urgent


@pytest.mark.parametrize(
    ("inr", "urgent"), [("5.1", True), ("5.0", False), ("1.4", True), (">8.0", True), ("<0.8", True)]
)
def test_a_waiting_value_beyond_the_limits_is_urgent_and_its_value_not_logged(
    stage: Stage, inr: str, urgent: bool, caplog: pytest.LogCaptureFixture
) -> None:
    stage.safety = LIMITS
    stage.take(reading(1, result(inr=inr), hub="new"))
    (entry,) = stage.waiting()
    assert bool(entry.urgent) is urgent
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == int(urgent)
    assert all(f"quarantine show {entry.id}" in record.getMessage() for record in errors)
    assert inr.lstrip("<>") not in caplog.text


def test_nothing_is_urgent_without_limits_nor_when_it_is_delivered(stage: Stage) -> None:
    stage.take(reading(1, result(inr="9.0"), hub="new"))
    assert [entry.urgent for entry in stage.waiting()] == [0]
    stage.safety = LIMITS
    (taken,) = stage.take(reading(2, result(inr="9.0")))
    assert (taken.verdict, taken.opened) == (Verdict.STORED, ())


def test_a_simulated_value_is_never_urgent(stage: Stage) -> None:
    stage.safety = LIMITS
    stage.take(reading(1, result(inr="9.0"), origin=Origin.SIMULATOR))
    assert [entry.urgent for entry in stage.waiting()] == [0]


# ---------------------------------------------------------------- marks


def test_the_mark_stands_before_the_first_gap_and_moves_over_it_when_it_is_filled(stage: Stage) -> None:
    def take(*numbers: int) -> int:
        stage.take(*(reading(number, result(f"2026-02-{number:02}T07:00:00")) for number in numbers))
        return stage.marks()[str(JOURNAL)]

    assert [take(2), take(5, 4), take(1), take(3), take(7), take(6)] == [0, 0, 2, 5, 5, 7]


@given(st.permutations(range(1, 13)), st.lists(st.integers(1, 4), min_size=12))
@settings(max_examples=50)
def test_the_mark_does_not_depend_on_batches_and_order(order: list[int], sizes: list[int]) -> None:
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.row_factory = sqlite3.Row
    database.execute("CREATE TABLE high_water (journal TEXT PRIMARY KEY, hub TEXT, number INTEGER)")
    database.execute("CREATE TABLE reading (journal TEXT, number INTEGER)")
    rest, seen = list(order), set[int]()
    for size in sizes:
        batch, rest = rest[:size], rest[size:]
        with transaction(database):
            database.executemany("INSERT INTO reading VALUES ('j', ?)", [(number,) for number in batch])
            readings.advance(database, "j", "h", batch)
        seen.update(batch)
        complete = next(number for number in range(1, 20) if number not in seen) - 1
        assert readings.marks(database, "h") == ([("j", complete)] if seen else [])
    database.close()


# ---------------------------------------------------------------- whatever comes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good payload in which some fields hold something else, or nothing."""
    content = json.loads(encode(reading(1)))
    odd = JSON | st.sampled_from(["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", 10**30, "\ud800"])
    for part in (content["result"], content):
        for name in draw(st.lists(st.sampled_from(sorted(part)), max_size=2)):
            part[name] = draw(odd)
        if draw(st.booleans()):
            part.pop(draw(st.sampled_from(sorted(part))))
    return json.dumps(content).encode()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Any:
    stage = Stage(tmp_path_factory.mktemp("busy"), safety=LIMITS)
    yield stage
    stage.close()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([TOPIC, "inr/1/hub/home-1/reading/x/1", "", "a/\x00b"]),
            st.binary(max_size=300) | damaged(),
        ),
        max_size=5,
    )
)
@settings(max_examples=150, deadline=None)
def test_any_octets_get_exactly_one_verdict_and_are_kept(busy: Stage, arrivals: list[tuple[str, bytes]]) -> None:
    messages = [Message(topic, payload) for topic, payload in arrivals]
    taken = busy.take_messages(messages)
    assert len(taken) == len(messages)
    for each, sent in zip(taken, messages, strict=True):
        assert each.sha256 == digest(sent.payload)
        assert (each.name is not None) == (sent.topic == TOPIC)
        table, column = ("reading", "sha256") if each.name else ("stray", "sha256")
        kept = busy.rows(f"SELECT payload FROM {table} WHERE {column} = ?", each.sha256)
        assert sent.payload in [row["payload"] for row in kept]
    # internal errors are kept too, but there should be none
    assert Reason.INTERNAL_ERROR not in busy.reasons()


@given(st.dates(), st.times(), st.integers(-1080, 1080) | st.none(), st.dates(), st.booleans() | st.none())
@settings(max_examples=150, deadline=None)
def test_any_times_get_a_verdict(
    busy: Stage, day: Any, time: Any, offset: int | None, hub_day: Any, synced: bool | None
) -> None:
    when = DeviceTime(raw="x", local=datetime.combine(day, time), utc_offset_min=offset)
    hub_time = datetime.combine(hub_day, time, UTC)
    number = busy.count("reading") + 10
    (taken,) = busy.take(
        reading(
            number,
            result(device_time=when),
            journal=OTHER_JOURNAL,
            read_at=hub_time,
            meter_clock=clock("2026-03-14T11:00:00", hub_time),
            hub_clock=HubClock(synchronised=synced, boot_id="b", monotonic_s=0.0),
            repetition=Repetition() if day.year < 2000 else None,
        )
    )
    assert taken.verdict in Verdict
    assert Reason.INTERNAL_ERROR not in busy.reasons()


def test_a_meter_without_serial_waits(stage: Stage) -> None:
    nameless = Meter(vendor="ACME", serial=None)
    stage.take(reading(1, result(meter=nameless), meter=nameless))
    assert one_reason(stage) == Reason.UNKNOWN_METER
