"""The full pass over all tables and the small one after a change give the same."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.clock import utc
from gateway.database import transaction
from gateway.reporting import statements
from gateway.reporting.claims.recompute import outcome, recompute, update
from gateway.reporting.claims.tallied import tallied
from gateway.reporting.facts import every_facts, facts_of
from gateway.result import Kind
from gateway.store import tallies
from gateway.store.opening import open_store
from gateway.store.sendings import Due, Said, settle_receipt
from tests.unit.claims.desk import MONDAYS, Desk

DAY = dt.date(2026, 3, 30)


def kept(desk: Desk) -> dict[str, str]:
    return {each.patient_id: each.sha256 for each in tallies.every_computed(desk.database)}


def full(desk: Desk, as_of: dt.date = DAY) -> tuple[str, ...]:
    writer = open_store(desk.store)
    try:
        return recompute(desk.database, writer, as_of, "rig", desk.now).different
    finally:
        writer.close()


def due(desk: Desk) -> list[str]:
    return tallies.changed(desk.database, tallies.last_change(desk.database))


def test_only_who_changed_is_tallied_again(desk: Desk) -> None:
    for patient in ("P1", "P2", "P3"):
        desk.patient(patient)
        desk.test(patient, MONDAYS[3])
    full(desk)
    assert due(desk) == []
    desk.test("P3", MONDAYS[4])
    desk.test("P2", MONDAYS[0])  # late: in the order of the writing, not of the tests
    assert due(desk) == ["P3", "P2"]
    assert update(desk.database, DAY, "rig", desk.now).patients == 2
    assert due(desk) == []
    assert full(desk) == ()


def every_kind_of_change(desk: Desk, result: int) -> list[str]:
    """Do one thing after another and note who is due after each."""
    found = []

    def note() -> None:
        found.append(" ".join(due(desk)))
        update(desk.database, DAY, "rig", desk.now)

    desk.correct(result, "P1", MONDAYS[0], inr="2.9")
    note()
    desk.write(
        "INSERT INTO quarantine (result_id, reason, detail, opened_at) VALUES (?, 'conflict', '', '')", result
    )
    note()
    desk.write("UPDATE quarantine SET closed_at = 'x', closed_by = 'x', action = 'released'")
    note()
    desk.paper("P1", "event", type="hold", date="2026-03-01")
    note()
    desk.write("UPDATE patient_zone SET zone = 'America/Phoenix' WHERE patient_id = 'P1'")
    note()
    desk.write("INSERT INTO patient_zone VALUES ('P1', '2026-03-01', 'Pacific/Guam')")
    note()
    desk.test("P1", MONDAYS[1], kind=Kind.CONTROL)
    note()
    desk.write("UPDATE result SET merged_into = ? WHERE id = ?", result, desk.test("P1", MONDAYS[2]))
    note()
    desk.write("UPDATE assignment SET to_at = '2026-03-20T00:00:00.000Z' WHERE patient_id = 'P1'")
    note()
    desk.write("INSERT INTO enrollment (patient_id, payer, diagnosis, recorded_at) VALUES ('P1', 'x', '', '')")
    note()
    return found


def test_every_change_makes_its_patient_due(desk: Desk) -> None:
    desk.patient("P1")
    desk.patient("P2")
    result = desk.test("P1", MONDAYS[0])
    full(desk)
    assert every_kind_of_change(desk, result) == ["P1"] * 10
    assert full(desk) == ()


def test_signatures_do_not_touch_a_tally_but_claims_do(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    full(desk)
    desk.units("sign", "P1", "1", "--by", "Bea")
    assert due(desk) == []
    desk.units("export", "--to", str(desk.folder / "out"), "--by", "Bea")
    assert due(desk) == ["P1"]
    before = kept(desk)
    update(desk.database, DAY, "rig", desk.now)
    assert kept(desk) != before
    desk.units("void", desk.rows("claims")[0]["claim"], "--by", "Bea", "--note", "why")
    assert due(desk) == ["P1"]


def test_a_kept_tally_that_is_wrong_is_found(desk: Desk) -> None:
    for patient in ("P1", "P2"):
        desk.patient(patient)
        desk.test(patient, MONDAYS[0])
    full(desk)
    desk.write("UPDATE tally SET sha256 = 'wrong' WHERE patient_id = 'P2'")
    said = desk.units("recompute", "--as-of", str(DAY))
    assert said.code == 1
    assert "patient P2" in said.err
    assert desk.units("recompute", "--as-of", str(DAY)).code == 0


def test_a_test_that_was_changed_past_the_schema_is_found_and_put_right(desk: Desk) -> None:
    desk.patient("P1")
    result = desk.test("P1", MONDAYS[0])
    full(desk)
    before = facts_of(desk.database, "P1").tested
    desk.write("UPDATE tally_test SET accepted_at = NULL")
    assert tallies.astray(desk.database) == [result]
    said = desk.units("recompute", "--as-of", str(DAY))
    assert said.code == 1
    assert "1 results stood otherwise" in said.err
    assert facts_of(desk.database, "P1").tested == before
    assert desk.units("recompute", "--as-of", str(DAY)).code == 0


def test_a_meters_reading_of_what_was_entered_by_hand_is_tallied_anew(desk: Desk) -> None:
    desk.patient("P1")
    result = desk.test("P1", MONDAYS[0])
    desk.write(
        "INSERT INTO version SELECT result_id, 2, status, body, 'person', patient_id, taken_at, uncertainty_s,"
        " quality, zone, recorded_at, why, reading_id FROM version WHERE result_id = ?",
        result,
    )
    assert facts_of(desk.database, "P1").tested[0].by_hand
    update(desk.database, DAY, "rig", desk.now)
    desk.write(
        "INSERT INTO reading (journal, number, sha256, hub, payload, received_at, verdict, result_id)"
        " VALUES ('of-a-hub', 1, '', 'h', x'', '', 'stored', ?)",
        result,
    )
    assert not facts_of(desk.database, "P1").tested[0].by_hand
    assert due(desk) == ["P1"]
    update(desk.database, DAY, "rig", desk.now)
    desk.write("UPDATE reading SET result_id = NULL WHERE journal = 'of-a-hub'")
    assert facts_of(desk.database, "P1").tested[0].by_hand
    assert due(desk) == ["P1"]


def test_an_older_tally_never_overwrites_a_newer_one(desk: Desk) -> None:
    desk.patient()
    full(desk)
    newer = tallies.computed(desk.database, "P1")
    assert newer is not None
    tallies.write(desk.database, [newer._replace(sequence=newer.sequence - 1, sha256="older")], "now")
    assert tallies.computed(desk.database, "P1") == newer


def test_numbers_of_changes_never_come_again(desk: Desk) -> None:
    desk.patient()
    before = tallies.last_change(desk.database)
    full(desk)
    assert desk.value("SELECT count(*) FROM tally_change") == 0
    desk.test("P1", MONDAYS[0])
    assert tallies.last_change(desk.database) > before


EVENTS = st.tuples(
    st.sampled_from(["P1", "P2", "P3"]),
    st.integers(0, 60 * 24 * 70),
    st.sampled_from(["plain", "unacked", "unsent", "control", "corrected", "retracted", "held", "resent"]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EVENTS, max_size=14, unique_by=lambda event: event[:2]), st.integers(0, 5))
def test_one_pass_reads_what_the_single_statements_read(events: list[tuple[str, int, str]], updates: int) -> None:
    with TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        try:
            for patient, zone in (("P1", "Pacific/Guam"), ("P2", "America/New_York"), ("P3", "Pacific/Pago_Pago")):
                desk.patient(patient, zone=zone)
            for at, (patient, minutes, what) in enumerate(events):
                happen(desk, patient, MONDAYS[0] + dt.timedelta(minutes=minutes), what)
                if at % (updates + 1) == 0:
                    update(desk.database, DAY, "rig", desk.now)
            assert tallies.astray(desk.database) == []
            passed = list(every_facts(desk.database))
            assert [facts.patient_id for facts in passed] == ["P1", "P2", "P3"]
            for facts in passed:
                alone = facts_of(desk.database, facts.patient_id)
                assert facts._replace(papers=alone.papers) == alone
                made = tallied(facts, DAY, "rig")
                assert made.statement == statements.statement_of(desk.database, facts.patient_id, DAY, "rig")[0]
            update(desk.database, DAY, "rig", desk.now)
            incremental = kept(desk)
            assert incremental == {facts.patient_id: outcome(facts, DAY, "rig")[0] for facts in passed}
            assert full(desk) == ()
            assert kept(desk) == incremental
        finally:
            desk.close()


def happen(desk: Desk, patient: str, taken: dt.datetime, what: str) -> None:
    kind = Kind.CONTROL if what == "control" else Kind.PATIENT
    reported = None if what == "unsent" else dt.timedelta(minutes=5)
    acknowledged = None if what in ("unacked", "unsent") else dt.timedelta(minutes=6)
    result = desk.test(patient, taken, reported=reported, acknowledged=acknowledged, kind=kind)
    if what == "corrected":
        desk.correct(result, patient, taken, inr="3.0")
    if what == "retracted":
        desk.retract(result, patient, taken)
    if what == "held":
        desk.write("INSERT INTO quarantine (result_id, reason, detail, opened_at) VALUES (?, 'x', '', '')", result)
    if what == "resent":
        for hours in (-1, 1, 2):
            at = f"2026-02-0{3 + hours}T00:00:00.000Z"
            report = desk.value("SELECT id FROM report WHERE result_id = ?", result)
            desk.write("INSERT INTO attempt (report_id, started_at) VALUES (?, ?)", report, at)
            for level in ("accepted", "seen", "sent"):
                desk.write(
                    "INSERT INTO evidence (report_id, level, at, peer, octets) VALUES (?, ?, ?, 'x', x'')",
                    report,
                    level,
                    at,
                )


def test_a_try_that_reached_nobody_is_no_report(desk: Desk) -> None:
    desk.patient("P1")
    desk.test("P1", MONDAYS[0], acknowledged=None)
    assert facts_of(desk.database, "P1").tested[0].reported_at is not None
    desk.write("UPDATE attempt SET outcome = 'not_sent'")
    assert facts_of(desk.database, "P1").tested[0].reported_at is None
    (passed,) = every_facts(desk.database)
    assert passed.tested[0].reported_at is None


def test_weaker_evidence_counts_only_where_the_provider_agreed_to_it(desk: Desk) -> None:
    desk.patient("P1")
    result = desk.test("P1", MONDAYS[0], acknowledged=None)
    report = desk.value("SELECT id FROM report WHERE result_id = ?", result)
    sent = Due(report, 0, "", b"octets", "sftp", "", "{}")
    with transaction(desk.database):
        settle_receipt(desk.database, sent, Said("accepted", "accepted", b"", "peer", ""), desk.now)
    assert facts_of(desk.database, "P1").tested[0].acknowledged_at is None
    with transaction(desk.database):
        settle_receipt(desk.database, sent, Said("delivered", "accepted", b"", "peer", ""), desk.now)
    assert facts_of(desk.database, "P1").tested[0].acknowledged_at == utc(desk.now)
    (passed,) = every_facts(desk.database)
    assert passed.tested[0].acknowledged_at == utc(desk.now)


def test_a_try_that_turns_out_to_have_reached_nobody_is_tallied_anew(desk: Desk) -> None:
    desk.patient("P1")
    desk.test("P1", MONDAYS[0], acknowledged=None)
    update(desk.database, DAY, "rig", desk.now)
    desk.write("UPDATE attempt SET outcome = 'not_sent'")
    assert due(desk) == ["P1"]


@pytest.mark.parametrize("words", [("--as-of", "soon"), ()])
def test_the_day_must_be_one(desk: Desk, words: tuple[str, ...]) -> None:
    assert desk.units("recompute", *words).code == 2
