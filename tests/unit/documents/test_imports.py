"""Files as they come from a spreadsheet: everything that is wrong is said at once, and much is read fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.reporting.documents.recording import RefusedError, add_document, import_documents
from tests.unit.claims.desk import Desk as Billing
from tests.unit.documents.conftest import NOW, Desk

HEADER = "patient,signed_on,practitioner\n"


def refused(desk: Desk, text: str, name: str = "order.csv") -> list[str]:
    with pytest.raises(RefusedError) as error:
        desk.load(text, name)
    assert desk.count() == 0
    return [str(problem).removeprefix(f"{desk.folder}/") for problem in error.value.problems]


def test_what_the_store_has_against_a_row_is_said_beside_what_its_form_lacks(desk: Desk) -> None:
    said = refused(desk, f"{HEADER}ghost,2026-01-05,V\npat,05/01/2026,V\npat,2027-01-05,V\npat,2026-01-05,V\n")
    assert [line.split(": ")[0] for line in said] == ["order.csv:2", "order.csv:3", "order.csv:4"]
    assert ["no patient ghost" in said[0], "is no date" in said[1], "in the future" in said[2]] == [True] * 3


def test_problems_stand_in_the_order_of_the_files(desk: Desk) -> None:
    first, second = desk.folder / "order.csv", desk.folder / "training.csv"
    first.write_text(f"{HEADER}ghost,2026-01-05,V\n", encoding="utf-8")
    second.write_text("patient,date,code,trainer,able_to_test,able_to_report\npat,2026-01-05,X,R,true,true\n")
    for files in ([second, first], [first, second]):
        with pytest.raises(RefusedError) as error:
            import_documents(desk.database, files, "Ada", NOW)
        assert [problem.place.file for problem in error.value.problems] == list(map(str, files))


def test_a_wrong_date_is_told_how_to_be_written(desk: Desk) -> None:
    (said,) = refused(desk, f"{HEADER}pat,1/5/2026,V\n")
    assert said == (
        "order.csv:2: column signed_on: is no date; write the date of the practitioner's signature, like "
        "2026-03-14; an unsigned order is none"
    )


def test_a_pattern_is_no_answer_to_a_clerk(desk: Desk) -> None:
    (said,) = refused(desk, "patient,payer,from\npat,Aetna Gold,2026-01-05\n", "coverage.csv")
    assert said == "coverage.csv:2: column payer: has not the right form; write like medicare_ffs"


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "upright strokes")])
def test_cells_that_no_comma_parts_are_named_for_what_they_are(desk: Desk, separator: str, word: str) -> None:
    text = f"{HEADER}pat,2026-01-05,V\n".replace(",", separator)
    (said,) = refused(desk, text)
    assert said == f"order.csv:1: is separated by {word}; separate the cells by commas"


def test_a_control_character_is_no_part_of_a_name(desk: Desk) -> None:
    (said,) = refused(desk, f"{HEADER}pat,2026-01-05,Dr. \x00V\n")
    assert "column practitioner: holds a control character" in said
    with pytest.raises(RefusedError, match="column note: holds a control character"):
        add_document(
            desk.database, "supply_contact", {"patient": "pat", "date": "2026-01-05", "note": "\x1b[31m"}, "A", NOW
        )
    desk.add("supply_contact", date="2026-01-05", note="phoned\nwill call back")
    assert desk.count() == 1


@pytest.mark.parametrize("name", ["ORDER.CSV", "Order.Csv"])
def test_a_spreadsheet_may_shout_the_name_of_its_file(desk: Desk, name: str) -> None:
    (desk.folder / "in").mkdir()
    (desk.folder / "in" / name).write_text(f"{HEADER}pat,2026-01-05,V\n", encoding="utf-8")
    assert str(import_documents(desk.database, [desk.folder / "in"], "Ada", NOW)) == "order: 1 new"


def test_a_marked_file_with_carriage_returns_is_read(desk: Desk) -> None:
    (desk.folder / "order.csv").write_bytes(f"\ufeff{HEADER}pat,2026-01-05,V\n".replace("\n", "\r\n").encode())
    assert str(import_documents(desk.database, [desk.folder / "order.csv"], "Ada", NOW)) == "order: 1 new"


def test_files_without_rows_say_so(desk: Desk) -> None:
    assert str(desk.load(HEADER, "order.csv")) == "the files hold no rows"


@pytest.mark.parametrize(
    ("name", "header", "row"),
    [
        ("supply_contact.csv", "patient,date,note", "pat,2026-01-05,call {}"),
        ("order.csv", "patient,signed_on,practitioner", "pat,2026-01-05,Dr. {}"),
        ("diagnosis.csv", "patient,codes,from,evidence", "pat,I48.20,2026-01-05,letter {}"),
    ],
)
def test_work_grows_with_the_rows_and_not_with_what_is_there(desk: Desk, name: str, header: str, row: str) -> None:
    def steps(first: int, count: int) -> int:
        taken = [0]

        def step() -> int:
            taken[0] += 1
            return 0

        text = "\n".join([header, *(row.format(number) for number in range(first, first + count))])
        desk.database.set_progress_handler(step, 100)
        try:
            desk.load(f"{text}\n", name)
        finally:
            desk.database.set_progress_handler(None, 0)
        return taken[0]

    few = steps(0, 50)
    steps(50, 400)
    assert steps(450, 50) < 2 * few


def test_papers_of_single_results_are_looked_for_by_their_result(desk: Desk) -> None:
    one, two = desk.measured("2026-01-05T07:30:00"), desk.measured("2026-01-12T07:30:00")
    desk.load(f"patient,result,signed_at\npat,{one},2026-01-05T07:00\npat,{two},2026-01-12T07:00\n", "abn.csv")
    with pytest.raises(RefusedError, match=f"result {two} has a paper of this kind already: document 2"):
        desk.add("abn", result=two, signed_at="2026-01-12T06:00")


def test_answers_about_eligibility_and_calls_are_recorded(desk: Desk) -> None:
    header = "patient,checked_on,payer,from,died_on,reference\n"
    desk.load(
        f"{header}pat,2026-03-10,ma_humana,2026-01-01,,271-77\npat,2026-03-11,medicare_ffs,,2026-03-01,\n",
        "eligibility.csv",
    )
    desk.load("patient,date,reached,note\npat,2026-03-10,false,\n", "contact.csv")
    assert (len(desk.listed("eligibility")), len(desk.listed("contact"))) == (2, 1)
    with pytest.raises(RefusedError, match="column died_on: lies in the future"):
        desk.add("eligibility", checked_on="2026-03-12", payer="medicare_ffs", died_on="2027-01-01")


def test_a_long_list_of_problems_is_cut_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Billing(tmp_path)
    desk.patient("P1")
    file = tmp_path / "order.csv"
    file.write_text(HEADER + "P1,bad,V\n" * 450, encoding="utf-8")
    config = ["--config", str(tmp_path / "server.toml"), "--by", "Ada"]
    assert main(["documents", "import", *config, str(file)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 102
    assert lines[99].startswith(f"{file}:101: column signed_on:")
    assert lines[100:] == ["and 350 more", "nothing was recorded: 450 problems"]
    desk.close()
