"""Recording: all or nothing, once, with who and when; corrected by adding, never by changing."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.configuration import shipped
from gateway.reporting.documents.kinds import KINDS
from gateway.reporting.documents.recording import (
    Attached,
    DocumentError,
    RefusedError,
    add_document,
    import_documents,
    supersede_document,
    void_document,
)
from gateway.server.release import dismiss
from gateway.store import documents
from gateway.store.opening import MIGRATIONS, create_store, open_store
from tests.unit.documents.conftest import NOW, Desk
from tests.unit.server.stage import reading, result

ORDER = {"signed_on": "2026-01-05", "practitioner": "Dr. V"}


def test_a_document_is_kept_with_who_when_whence_and_digests(desk: Desk) -> None:
    desk.load('[[order]]\npatient = "pat"\nsigned_on = 2026-01-05\npractitioner = "Dr. V"\n')
    (row,) = documents.listing(desk.database, "pat")
    assert row.body == '{"practitioner":"Dr. V","signed_on":"2026-01-05"}'
    assert row.sha256 == hashlib.sha256(row.body.encode()).hexdigest()
    assert (row.recorded_by, row.recorded_at) == ("Ada", "2026-05-20T18:00:00.000Z")
    assert row.source == f"import {desk.folder / 'papers.toml'}:1"
    typed = documents.find(desk.database, desk.add("warfarin", start="2025-06-02").id)
    assert typed is not None
    assert typed.source == "cli"


def test_the_same_again_is_nothing_new(desk: Desk) -> None:
    first = desk.add("order", **ORDER)
    again = desk.add("order", practitioner="Dr. V ", signed_on="2026-01-05")
    assert first.new
    assert (again.id, again.new) == (first.id, False)
    text = '[[order]]\npatient = "pat"\nsigned_on = 2026-01-05\npractitioner = "Dr. V"\n'
    assert str(desk.load(text)) == "order: 1 unchanged"
    assert desk.count() == 1


def test_the_example_folder_can_be_imported_after_the_example_registry(tmp_path: Path) -> None:
    from gateway.server.registry.importing import import_registry

    create_store(tmp_path / "s", "production", NOW)
    with closing(open_store(tmp_path / "s")) as database:
        import_registry(database, [shipped() / "registry.example"], "Ada", NOW)
        first = import_documents(database, [shipped() / "documents.example"], "Ada", NOW)
        again = import_documents(database, [shipped() / "documents.example"], "Ada", NOW)
        assert first.counts["order"]["new"] == 1
        assert sum(count["new"] for count in again.counts.values()) == 0


def test_the_examples_that_are_commented_out_are_right_too() -> None:
    import tomllib

    lines = (shipped() / "documents.example" / "papers.toml").read_text(encoding="utf-8").splitlines()
    bare = [
        line[2:] if line.startswith("# ") and ("=" in line or line.startswith("# [[")) else line for line in lines
    ]
    content = tomllib.loads("\n".join(bare))
    shown = {*content, *(file.stem for file in (shipped() / "documents.example").glob("*.csv"))}
    assert shown == set(KINDS)
    for kind, tables in content.items():
        for table in tables:
            KINDS[kind].model_validate(table)


BAD = [
    (
        '[[order]]\npatient = "pat"\npractitioner = "V"\n',
        1,
        "signed_on",
        "is missing; write the date of the practit",
    ),
    (
        '[[order]]\npatient = "pat"\npractitioner = "V"\nsigned_on = 2026-01-05\nexpires_on = 2026-01-04\n',
        1,
        None,
        "expires_on (2026-01-04) lies before signed_on (2026-01-05)",
    ),
    (
        '[[order]]\npatient = "pat"\npractitioner = "V"\nsigned_on = 2027-01-05\n',
        1,
        "signed_on",
        "lies in the future",
    ),
    (
        '\n[[order]]\npatient = "nobody"\npractitioner = "V"\nsigned_on = 2026-01-05\n',
        2,
        "patient",
        "no patient nobody",
    ),
    (
        '[[training]]\npatient = "pat"\ndate = 2026-01-05\ncode = "G0249"\ntrainer = "R"\nable_to_test = true\n'
        "able_to_report = true\n",
        4,
        "code",
        "write G0248 or 93792",
    ),
    (
        '[[diagnosis]]\npatient = "pat"\ncodes = "I48.20 AFIB"\nfrom = 2026-01-05\nevidence = "letter"\n',
        3,
        "codes",
        "'AFIB' is no ICD-10-CM code",
    ),
    ('[[event]]\npatient = "pat"\ntype = "moved"\ndate = 2026-01-05\n', 3, "type", "write withdrawn, death"),
    ('[[event]]\npatient = "pat"\ntype = "death"\ndate = 2026-12-05\n', 1, "date", "lies in the future"),
    (
        '[[warfarin]]\npatient = "pat"\nstart = 2026-01-05\nend = 2026-01-04\n',
        1,
        None,
        "end (2026-01-04) lies before",
    ),
    ('[[anticoagulant]]\npatient = "pat"\ndrug = "warfarin"\nstart = 2026-01-05\n', 1, None, "kind warfarin"),
    (
        '[[review]]\npatient = "pat"\nresult = 77\nreviewed_at = 2026-01-05T08:00:00\npractitioner = "V"\n',
        1,
        "result",
        "",
    ),
    ('[[supply_delivery]]\npatient = "pat"\ndate = 2026-01-05\nstrips = 0\n', 4, "strips", "from 1 to 1000"),
    ('[[supply_delivery]]\npatient = "pat"\ndate = 20260105\nstrips = 4\n', 3, "date", "is no date"),
    ('[[orders]]\npatient = "pat"\n', 1, "orders", "is no kind of row; the kinds are order,"),
    (
        '[[order]]\npatient = "pat"\npractitioner = "V"\nsigned_on = 2026-01-05\nsigned = 1\n',
        5,
        "signed",
        "no column",
    ),
    ("[[order]]\npatient = \n", 2, None, "is no TOML"),
]


@pytest.mark.parametrize(("text", "line", "column", "words"), BAD)
def test_every_refusal_names_the_row_and_changes_nothing(
    desk: Desk, text: str, line: int, column: str | None, words: str
) -> None:
    good = '[[order]]\npatient = "pat"\nsigned_on = 2026-01-06\npractitioner = "Dr. V"\n'
    with pytest.raises(RefusedError) as refused:
        desk.load(text if "is no TOML" in words else f"{text}{good}")
    (problem,) = refused.value.problems
    assert (problem.place.line, problem.column) == (line, column)
    assert words in str(problem)
    assert desk.count() == 0
    assert desk.stage.rows("SELECT * FROM decision WHERE act = 'documents import'") == []


def test_csv_rows_are_named_by_their_line(desk: Desk) -> None:
    with pytest.raises(RefusedError) as refused:
        desk.load("# seen\npatient,signed_on,practitioner\npat,2026-01-05,V\npat,,V\npat,2026-01-05\n", "order.csv")
    assert [(problem.place.line, problem.column) for problem in refused.value.problems] == [
        (4, "signed_on"),
        (5, None),
    ]
    with pytest.raises(RefusedError, match=r"order.csv:1: column practitioner: is missing"):
        desk.load("patient,signed_on\npat,2026-01-05\n", "order.csv")
    with pytest.raises(RefusedError, match="its name says no kind"):
        desk.load("patient\n", "orders.csv")
    with pytest.raises(RefusedError, match="separated by semicolons"):
        desk.load("patient;signed_on\n", "order.csv")
    desk.load("patient,signed_on,practitioner\npat,2026-01-05,V\n", "order.csv")
    assert desk.count() == 1


def test_one_row_twice_in_one_import_is_a_slip(desk: Desk) -> None:
    row = '[[supply_delivery]]\npatient = "pat"\ndate = 2026-01-05\nstrips = 6\n'
    with pytest.raises(RefusedError, match=r"papers.toml:5: the same one stands at .*papers.toml:1 already"):
        desk.load(row + row)
    assert desk.count() == 0


def test_what_contradicts_another_document_is_refused(desk: Desk) -> None:
    first = desk.add("warfarin", start="2025-06-01")
    for kind, columns in (
        ("warfarin", {"start": "2026-01-01"}),
        ("coverage", {"payer": "medicare_ffs", "from": "2026-01-01", "to": "2026-03-01"}),
    ):
        if kind == "coverage":
            desk.add(kind, payer="other", from_="2025-01-01", to="2026-01-01")
        with pytest.raises(RefusedError, match="document"):
            desk.add(kind, **columns)
    with pytest.raises(RefusedError, match=f"documents supersede {first.id}"):
        desk.add("warfarin", start="2026-01-01")
    with pytest.raises(RefusedError, match=r"two such times overlap: .*papers.toml:1; leave one"):
        desk.load(
            '[[infusion]]\npatient = "pat"\nstart = 2026-01-01\n[[infusion]]\npatient = "pat"\nstart = 2026-01-09\n'
        )


def test_a_paper_about_a_result_is_about_the_patients_own(desk: Desk) -> None:
    mine = desk.measured("2026-03-10T07:30:00")
    abn: dict[str, Any] = {"result": mine, "signed_at": "2026-03-09T08:00-08:00"}
    desk.add("abn", **abn)
    with pytest.raises(RefusedError, match="is no result of patient sam"):
        desk.add("abn", patient="sam", **abn)
    with pytest.raises(RefusedError, match=f"result {mine} has a paper of this kind already"):
        desk.add("abn", result=mine, signed_at="2026-03-08T08:00-08:00")
    with pytest.raises(RefusedError, match="lies before the test was taken"):
        desk.add("review", result=mine, reviewed_at="2026-03-09T07:00", practitioner="Dr. V")
    desk.add("review", result=mine, reviewed_at="2026-03-10T07:40", practitioner="Dr. V")


def test_a_dismissed_result_gets_no_paper(desk: Desk) -> None:
    mine = desk.measured("2026-03-10T07:30:00", reported=False)
    desk.stage.take(reading(40, result("2026-03-10T07:30:00", strip_lot="another")))
    (entry,) = desk.stage.waiting()
    dismiss(desk.database, entry.id, "Ada", NOW, "cannot be right")
    with pytest.raises(RefusedError, match=f"result {mine} was dismissed, and shall never be counted"):
        desk.add("review", result=mine, reviewed_at="2026-03-11T07:40", practitioner="Dr. V")


def test_a_zone_that_begins_later_makes_nothing_future_today_nor_past(desk: Desk) -> None:
    desk.stage.register('[[zones]]\npatient = "pat"\nfrom_date = 2026-06-01\nzone = "Pacific/Guam"\n')
    now = datetime(2026, 5, 21, 3, 0, tzinfo=UTC)  # 20:00 of the day before where the patient lives, 13:00 in Guam
    tomorrow = {"patient": "pat", "signed_on": "2026-05-21", "practitioner": "V"}
    with pytest.raises(RefusedError, match="lies in the future"):
        add_document(desk.database, "order", tomorrow, "Ada", now)
    add_document(desk.database, "order", {**tomorrow, "signed_on": "2026-05-20"}, "Ada", now)


# ---------------------------------------------------------------- corrections


def test_a_correction_takes_the_place_and_both_are_kept(desk: Desk) -> None:
    first = desk.add("order", **ORDER, expires_on="2026-06-05")
    second = supersede_document(desk.database, first.id, {"signed_on": "2026-01-06", "expires_on": ""}, "Bob", NOW)
    assert desk.listed("order") == [second.id]
    (old, new) = documents.listing(desk.database, "pat", superseded=True)
    assert (old.superseded_by, new.supersedes) == (second.id, first.id)
    assert json.loads(old.body)["signed_on"] == "2026-01-05"
    assert json.loads(new.body) == {"practitioner": "Dr. V", "signed_on": "2026-01-06"}
    with pytest.raises(DocumentError, match=f"the last of its chain is document {second.id}"):
        supersede_document(desk.database, first.id, {"signed_on": "2026-01-07"}, "Bob", NOW)
    with pytest.raises(DocumentError, match="says this already"):
        supersede_document(desk.database, second.id, {"signed_on": "2026-01-06"}, "Bob", NOW)
    with pytest.raises(DocumentError, match="belongs to patient pat"):
        supersede_document(desk.database, second.id, {"patient": "sam"}, "Bob", NOW)
    with pytest.raises(RefusedError, match="lies before"):
        supersede_document(desk.database, second.id, {"expires_on": "2026-01-01"}, "Bob", NOW)
    assert desk.count() == 2


def test_what_was_corrected_does_not_come_back_by_an_old_file(desk: Desk) -> None:
    text = '[[order]]\npatient = "pat"\nsigned_on = 2026-01-05\npractitioner = "Dr. V"\n'
    desk.load(text)
    (first,) = desk.listed("order")
    second = supersede_document(desk.database, first, {"signed_on": "2026-01-06"}, "Bob", NOW)
    assert str(desk.load(text)) == "order: 1 unchanged"
    assert desk.listed("order") == [second.id]
    with pytest.raises(
        DocumentError, match=f"was corrected; to let it hold again: 'documents supersede {second.id}'"
    ):
        desk.add("order", **ORDER)
    back = supersede_document(desk.database, second.id, {"signed_on": "2026-01-05"}, "Bob", NOW)
    assert desk.listed("order") == [back.id]


def test_a_void_document_says_why_and_can_be_taken_up_again(desk: Desk) -> None:
    first = desk.add("order", **ORDER)
    with pytest.raises(DocumentError, match="reason"):
        void_document(desk.database, first.id, "Bob", NOW, " ")
    void = void_document(desk.database, first.id, "Bob", NOW, "another patient's")
    assert desk.listed("order") == []
    kept = documents.find(desk.database, void.id)
    assert kept is not None
    assert (kept.voids, kept.supersedes, json.loads(kept.body)) == (1, first.id, {"why": "another patient's"})
    with pytest.raises(DocumentError, match="was voided"):
        desk.add("order", **ORDER)
    again = supersede_document(desk.database, void.id, ORDER, "Bob", NOW)
    assert desk.listed("order") == [again.id]


def test_a_file_is_kept_with_its_digest_and_stays_through_a_correction(desk: Desk) -> None:
    scan = Attached("order.pdf", b"%PDF-1.7 \x00\xff")
    made = add_document(desk.database, "order", {"patient": "pat", **ORDER}, "Ada", NOW, scan)
    later = supersede_document(desk.database, made.id, {"interval_days": "7"}, "Ada", NOW)
    row = documents.find(desk.database, later.id)
    assert row is not None
    assert row.attachment == hashlib.sha256(scan.octets).hexdigest()
    assert documents.attachment(desk.database, row.attachment) == scan.octets
    assert row.attachment_name == "order.pdf"
    other = Attached("better.pdf", b"%PDF-1.7 better")
    with pytest.raises(DocumentError, match="documents attach"):
        add_document(desk.database, "order", {"patient": "pat", **ORDER, "interval_days": "7"}, "Ada", NOW, other)
    supersede_document(desk.database, later.id, {}, "Ada", NOW, other)
    assert desk.stage.count("attachment") == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE document SET body = '{}'",
        "DELETE FROM document",
        "UPDATE attachment SET octets = x''",
        "DELETE FROM attachment",
    ],
)
def test_the_store_itself_refuses_to_change_or_remove(desk: Desk, statement: str) -> None:
    add_document(desk.database, "order", {"patient": "pat", **ORDER}, "Ada", NOW, Attached("a", b"a"))
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        desk.database.execute(statement)


def test_a_store_of_the_first_schema_takes_documents(tmp_path: Path) -> None:
    first = resources.files(MIGRATIONS).joinpath("0001_first.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "s")) as old:
        old.executescript(first)
        old.executescript(
            "PRAGMA user_version = 1;"
            "INSERT INTO store VALUES (1, 'production', '2026-01-01T00:00:00.000Z');"
            "INSERT INTO epoch VALUES (1, 'e1', '2026-01-01T00:00:00.000Z', 'created', 'new store', '2026-01-01');"
            "INSERT INTO patient VALUES ('pat', 'F', 'G', '1950-01-01', 'F', '2026-01-01T00:00:00.000Z');"
        )
    with closing(open_store(tmp_path / "s", "production")) as database:
        made = add_document(database, "order", {"patient": "pat", **ORDER}, "Ada", NOW)
        assert [row.id for row in documents.listing(database, "pat")] == [made.id]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


# ---------------------------------------------------------------- dates


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(one=st.dates(), two=st.dates())
def test_an_order_is_taken_exactly_when_its_dates_are_in_order_and_past(desk: Desk, one: Any, two: Any) -> None:
    before = desk.count()
    in_order = one.year >= 1900 and one <= NOW.date() and two >= one
    try:
        made = desk.add("order", signed_on=one.isoformat(), expires_on=two.isoformat(), practitioner="V")
    except RefusedError:
        assert not in_order
        assert desk.count() == before
    else:
        assert in_order
        row = documents.find(desk.database, made.id)
        assert row is not None
        assert json.loads(row.body)["expires_on"] == two.isoformat()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(text=st.one_of(st.text(max_size=30), st.from_regex(r"\d{2,4}-?\d{1,2}-?\d{1,2}[T ]?.{0,8}", fullmatch=True)))
def test_whatever_stands_for_a_date_is_a_date_or_refused(desk: Desk, text: str) -> None:
    before = desk.count()
    try:
        made = desk.add("supply_contact", date=text)
    except RefusedError:
        assert desk.count() == before
        assert not re.fullmatch(r"(19\d\d|20[01]\d)-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])", text.strip())
    else:
        row = documents.find(desk.database, made.id)
        assert row is not None
        assert json.loads(row.body)["date"] == text.strip()
