"""Services beside the units that somebody billed: how they are recorded, and what is refused."""

from __future__ import annotations

import pytest

from gateway.reporting.documents.neighbours import cautions_of, services_of
from gateway.reporting.documents.papers import papers_of
from gateway.reporting.documents.recording import RefusedError, void_document
from tests.unit.documents.conftest import NOW, Desk

HEADER = "patient,date,code,billed_by,units,result,same_day_visit,reference\n"


def refusal(desk: Desk, text: str) -> list[str]:
    with pytest.raises(RefusedError) as refused:
        desk.load(text, "billed_service.csv")
    assert desk.count() == 0
    return [str(problem) for problem in refused.value.problems]


def test_a_file_of_lines_is_read(desk: Desk) -> None:
    test = desk.measured("2026-02-03T07:30:00")
    rows = f"pat,2026-02-04,93793,Riverside Clinic,,{test},,\npat,2021-03-01,G0248,Acelis,,,,claim 17\n"
    assert str(desk.load(HEADER + rows, "billed_service.csv")) == "billed_service: 2 new"
    assert str(desk.load(HEADER + rows, "billed_service.csv")) == "billed_service: 2 unchanged"
    visit, training = services_of(papers_of(desk.database, "pat"))
    assert (visit.code, visit.test, visit.units, visit.billed_by) == ("93793", str(test), 1, "Riverside Clinic")
    assert (training.code, str(training.date), training.test) == ("G0248", "2021-03-01", None)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("pat,2026-02-04,99213,C,,,,", "column code: input should be 'G0248', '93792' or '93793'"),
        ("pat,2026-02-04,G0249,C,,,,", "column code"),
        ("pat,2026-02-04,93793,,,,,", "column billed_by"),
        ("pat,2026-12-04,93793,C,,,,", "column date: lies in the future"),
        ("pat,2026-02-04,93793,C,0,,,", "column units"),
        ("pat,2026-02-04,93793,C,,999,,", "column result: there is no result 999"),
        ("pat,2026-02-04,G0248,C,,1,,", "result is for 93793 alone"),
        ("pat,2026-02-04,93792,C,,,true,", "same_day_visit is for 93793 alone"),
        ("who,2026-02-04,93793,C,,,,", "column patient: there is no patient who"),
        ("pat,2026-02-02,93793,C,,1,,", "column date: lies before the test was taken"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_nothing_is_kept(desk: Desk, row: str, said: str) -> None:
    assert desk.measured("2026-02-03T07:30:00") == 1
    good = "pat,2026-02-04,93793,Riverside Clinic,,,,\n"
    (problem,) = refusal(desk, f"{HEADER}{good}{row}\n")
    assert "billed_service.csv:3" in problem
    assert said in problem


def test_the_day_of_the_test_is_the_patients(desk: Desk) -> None:
    test = desk.measured("2026-02-03T23:30:00")
    assert desk.add("billed_service", date="2026-02-03", code="93793", billed_by="C", result=str(test)).new


def test_two_lines_of_one_day_are_one_too_many_whoever_billed_them(desk: Desk) -> None:
    desk.add("billed_service", date="2026-02-04", code="93793", billed_by="C")
    assert not desk.add("billed_service", date="2026-02-04", code="93793", billed_by="C").new
    assert cautions_of(papers_of(desk.database, "pat")) == ()
    desk.add("billed_service", date="2026-02-04", code="93793", billed_by="D")
    assert [found.words for found in cautions_of(papers_of(desk.database, "pat"))] == [
        "93793 is billed once a day; 2 are named."
    ]


def test_a_line_for_a_training_on_file_is_one_session(desk: Desk) -> None:
    session = {"date": "2026-01-05", "code": "G0248"}
    desk.add("training", **session, trainer="R", able_to_test="true", able_to_report="true")
    line = desk.add("billed_service", **session, billed_by="Our house")
    assert cautions_of(papers_of(desk.database, "pat")) == ()
    before = desk.add("billed_service", date="2021-03-01", code="G0248", billed_by="Acelis")
    (found,) = cautions_of(papers_of(desk.database, "pat"))
    assert "billed for 2021-03-01 already (by Acelis)" in found.words
    void_document(desk.database, before.id, "Ada", NOW, "another patient's")
    void_document(desk.database, line.id, "Ada", NOW, "never sent")
    assert cautions_of(papers_of(desk.database, "pat")) == ()
