"""``results enter``: what a person reads from the display travels as a reading, and counts as the policy says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hl7apy.parser import parse_message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli.main import main
from gateway.cli.results_enter import EntryError, Form, enter
from gateway.clock import Clock, moment
from gateway.database import transaction
from gateway.reporting.configuration import Delivery
from gateway.reporting.queueing import queue_reports
from gateway.server.validation import understand
from gateway.store.opening import open_store
from gateway.wire.reading import Origin, Reading
from tests.unit.documents.conftest import Desk
from tests.unit.server.stage import LIMITS

NOON = datetime(2026, 2, 3, 20, 0, tzinfo=UTC)
"""Noon in Los Angeles, on a Tuesday."""


class Said(NamedTuple):
    status: int
    out: str
    err: str


Type = Callable[..., Said]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.stage.now = NOON
    yield desk
    desk.stage.close()


@pytest.fixture
def typed(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Type:
    file = desk.folder / "server.toml"
    file.write_text(f'[server]\nname = "s"\nstore = "{desk.stage.path}"\nrole = "production"\n', encoding="utf-8")

    def type_(*words: str, **changed: str) -> Said:
        said = {
            "patient": "pat",
            "inr": "2.5",
            "taken-at": "2026-02-03T07:30",
            "meter": "ACME/SN000123",
            "by": "Ada",
            "attest": "read over the phone",
        } | {name.replace("_", "-"): value for name, value in changed.items()}
        options = [each for name, value in said.items() if value for each in (f"--{name}", value)]
        capsys.readouterr()
        try:
            status = main(["results", "enter", *options, *words, "--config", str(file)])
        except SystemExit as error:
            status = int(error.code or 0)
        return Said(status, *capsys.readouterr())

    return type_


def form(**changed: str) -> Form:
    fields = {
        "patient": "pat",
        "inr": "2.5",
        "taken_at": "2026-02-03T07:30",
        "vendor": "ACME",
        "serial": "SN000123",
        "entered_by": "Ada",
        "attestation": "read over the phone",
    }
    return Form(**{**fields, **changed})


def entered(desk: Desk, **changed: str) -> int:
    """Enter at noon of the third of February; the number of the result."""
    enter(desk.database, form(**changed), NOON, LIMITS, another=True)
    return int(desk.stage.rows("SELECT max(result_id) FROM version")[0][0])


def test_an_entry_is_a_reading_of_the_desk_with_all_that_was_said(desk: Desk, typed: Type) -> None:
    said = typed()
    assert (said.status, said.out) == (0, "result 1 entered; attested in document 1\n")
    (row,) = desk.stage.rows("SELECT * FROM reading")
    reading = understand(row["payload"])
    assert isinstance(reading, Reading)
    assert (reading.hub, reading.origin, row["verdict"]) == ("desk", Origin.PERSON, "stored")
    kept = json.loads(reading.octets)
    assert {name: kept[name] for name in ("entered_by", "inr", "serial", "attestation")} == {
        "entered_by": "Ada",
        "inr": "2.5",
        "serial": "SN000123",
        "attestation": "read over the phone",
    }
    assert moment(kept["entered_at"]) <= datetime.now(UTC)
    (version,) = desk.stage.versions()
    assert (version["origin"], version["patient_id"]) == ("person", "pat")
    assert moment(version["taken_at"]) == datetime(2026, 2, 3, 15, 30, tzinfo=UTC)
    (decision,) = desk.stage.rows("SELECT by_name, subject FROM decision WHERE act = 'enter'")
    assert tuple(decision) == ("Ada", "result 1")
    assert desk.stage.marks() == {str(reading.journal): 1}


def test_entered_twice_it_stands_once(desk: Desk, typed: Type) -> None:
    typed()
    assert typed().out == "result 1 is this test already: not entered again; attested\n"
    assert typed(taken_at="2026-02-03T15:30:00Z", inr="2.50").status == 0
    refused = typed(taken_at="2026-02-03T08:10")
    assert refused.status == 1
    assert "result 1 has the same value, less than two hours apart" in refused.err
    assert desk.stage.count("result") == 1
    assert typed("--another", taken_at="2026-02-03T08:10").status == 0
    assert desk.stage.count("result") == 2


def test_the_provider_is_told_that_it_was_entered_by_hand(desk: Desk) -> None:
    result = entered(desk)
    with transaction(desk.database):
        desk.database.execute(
            "INSERT INTO destination (id, provider_id, channel, address, live, live_at, updated_at)"
            " VALUES ('ehr', 'clinic', 'hl7v2', 'mllp://127.0.0.1:2575', 1, '', '')"
        )
        desk.database.execute(
            "INSERT INTO treatment (patient_id, provider_id, provider_patient_id, from_at)"
            " VALUES ('pat', 'clinic', 'MRN-1', '2025-01-01T00:00:00.000Z')"
        )
        queue_reports(desk.database, "production", [result], Delivery(), Clock(NOON))
    (row,) = desk.stage.rows("SELECT octets FROM report")
    message = parse_message(row["octets"].decode(), find_groups=False)
    assert "Patient self-test at home, entered by hand" in [note.nte_3.value for note in message.nte]
    assert message.obx[0].obx_5.value == "2.5"


def test_it_counts_attested_and_flagged_and_not_without(desk: Desk) -> None:
    result = entered(desk, attestation="")
    desk.acknowledge(result)
    assert desk.why_not(result) == "MANUAL_UNVERIFIED"
    desk.add("attestation", result=result, statement="seen", attested_by="Ada", attested_at="2026-02-03T08:00")
    assert desk.why_not(result) is None
    desk.add("event", type="withdrawn", date="2026-02-20")
    (partial,) = desk.statement().units
    assert "MANUAL_ENTRY" in partial.review_flags


@pytest.mark.parametrize(
    ("minutes", "seconds", "replaced"), [(0, 5, True), (120, 0, True), (120, 1, False), (-120, 0, True)]
)
def test_the_meters_record_of_the_value_within_two_hours_takes_its_place(
    desk: Desk, minutes: int, seconds: int, replaced: bool
) -> None:
    by_hand = entered(desk)
    desk.acknowledge(by_hand)
    at = datetime(2026, 2, 3, 7, 30) + timedelta(minutes=minutes, seconds=seconds)
    by_meter = desk.measured(at.isoformat(), "2.5", reported=False)
    assert desk.why_not(by_hand) is None  # nobody was told of the meter's record yet
    desk.acknowledge(by_meter)
    assert desk.why_not(by_hand) == ("DUPLICATE" if replaced else None)
    assert desk.why_not(by_meter) == (None if replaced else "SAME_WEEK_NO_REASON")


def test_the_meters_record_of_the_same_minute_is_the_same_result_and_makes_it_the_meters(desk: Desk) -> None:
    by_hand = entered(desk, attestation="")
    desk.acknowledge(by_hand)
    assert desk.why_not(by_hand) == "MANUAL_UNVERIFIED"
    assert desk.measured("2026-02-03T07:30:00", "2.50", reported=False) == by_hand
    assert desk.stage.reasons() == []
    assert desk.why_not(by_hand) is None


def test_what_a_meter_sent_is_not_entered_again(desk: Desk, typed: Type) -> None:
    desk.measured("2026-02-03T07:30:00", "2.5")
    assert typed().out == "result 1 is this test already: not entered again; a meter sent it\n"
    assert (desk.stage.count("reading"), desk.count()) == (1, 0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"inr": "0"}, "is no INR"),
        ({"inr": "25,3"}, "is no INR"),
        ({"inr": "253"}, "is no INR"),
        ({"inr": "NaN"}, "is no INR"),
        ({"inr": "2.5 "}, None),
        ({"inr": ">8.0"}, None),
        ({"patient": "who"}, "there is no patient who"),
        ({"patient": "sam"}, "the meter was not patient sam's at that time"),
        ({"meter": "ACME"}, "write VENDOR/SERIAL"),
        ({"meter": "ACME/X9"}, "is not registered"),
        ({"taken_at": "2025-12-31T23:00"}, "register the assignment"),
        ({"taken_at": "2026-02-03"}, "is no time"),
        ({"taken_at": "yesterday"}, "is no time"),
        ({"taken_at": "2999-02-03T07:30"}, "lies in the future"),
        ({"taken_at": "2007-02-03T07:30"}, "lies before 2008"),
        ({"taken_at": "2026-03-08T02:30"}, "the clocks skipped"),
        ({"taken_at": "2026-11-01T01:30"}, "comes twice that night"),
        ({"by": " "}, "needs the name"),
    ],
)
def test_every_refusal_is_plain_and_enters_nothing(
    desk: Desk, typed: Type, changed: dict[str, str], words: str | None
) -> None:
    said = typed(**changed)
    if words is None:
        assert said.status == 0
        return
    assert said.status == 1
    assert words in said.err
    assert [desk.stage.count(name) for name in ("reading", "result", "document", "desk", "quarantine")] == [0] * 5


def test_after_a_restore_the_desk_has_another_journal(desk: Desk, tmp_path: Path) -> None:
    from gateway.store.backup import back_up, restore

    entered(desk)
    back_up(desk.stage.path, tmp_path / "backup.db")
    restore(tmp_path / "backup.db", tmp_path / "other.db", "production", NOON, replace=False)
    again = open_store(tmp_path / "other.db")
    try:
        enter(again, form(inr="3.1"), NOON, LIMITS)
        rows = again.execute("SELECT journal, number FROM reading ORDER BY id").fetchall()
        assert len({row["journal"] for row in rows}) == 2
        assert [row["number"] for row in rows] == [1, 1]
    finally:
        again.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(at=st.datetimes(datetime(2026, 1, 2), datetime(2026, 12, 30)).map(lambda at: at.replace(microsecond=0)))
def test_a_local_time_is_one_instant_in_the_patients_zone_or_is_asked_for_again(desk: Desk, at: datetime) -> None:
    from zoneinfo import ZoneInfo

    here = ZoneInfo("America/Los_Angeles")
    instants = {at.replace(tzinfo=here, fold=fold).astimezone(UTC) for fold in (0, 1)}
    exists = {instant for instant in instants if instant.astimezone(here).replace(tzinfo=None) == at}
    before = desk.stage.count("reading")
    try:
        enter(desk.database, form(taken_at=at.isoformat()), datetime(2027, 1, 1, tzinfo=UTC), LIMITS, another=True)
    except EntryError:
        assert len(exists) != 1
        assert desk.stage.count("reading") == before
    else:
        assert len(exists) == 1
        (row,) = desk.stage.rows("SELECT taken_at FROM version ORDER BY rowid DESC LIMIT 1")
        if desk.stage.count("reading") > before:
            assert {moment(row["taken_at"])} == exists


def test_the_form_is_kept_as_octets(desk: Desk) -> None:
    entered(desk, taken_at="2026-02-03T10:30-05:00")
    (row,) = desk.stage.rows("SELECT payload FROM reading")
    raw = json.loads(row["payload"])["raw"]
    assert json.loads(base64.b64decode(raw))["taken_at"] == "2026-02-03T10:30-05:00"
    assert desk.statement(date(2026, 2, 3)).not_covered[0].reason == "NOT_ACKNOWLEDGED"
