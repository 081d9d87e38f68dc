"""The PDF report: what it says, that it says it the same way every time, and in letters of any script."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import unicodedata
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import Quality
from gateway.reporting.channels.document import DocumentSettings, compose, render
from gateway.reporting.channels.document.contents import Mark
from gateway.reporting.channels.document.letters import shown
from gateway.reporting.channels.document.times import instant, span, zone
from gateway.reporting.reportable import Past, ReportableResult, Status, UnreportableError
from gateway.reporting.summary import Measured, Target, summarise
from gateway.wire.reading import Origin
from tests.unit.reporting.examples import PATIENT, PROVIDER, reportable
from tests.unit.reporting.stores import TAKEN, body, quantity

ROOT = Path(__file__).resolve().parents[3]
PLAIN = DocumentSettings()


@dataclass(frozen=True)
class FourNumbers:
    target_low: Decimal = Decimal("2.0")
    target_high: Decimal = Decimal("3.0")
    critical_low: Decimal = Decimal("1.5")
    critical_high: Decimal = Decimal("5.0")
    source: str = "patient"


def history(*values: str, step_days: int = 7) -> tuple[Past, ...]:
    """Earlier results, the last one `step_days` before the test."""
    here = reportable().taken_at.tzinfo
    return tuple(
        Past(
            (TAKEN - timedelta(days=step_days * (len(values) - at))).astimezone(here),
            quantity(value.lstrip("<>"), value[0] if value[0] in "<>" else None),
            f"earlier{at}",
        )
        for at, value in enumerate(values)
    )


def full(**changes: Any) -> ReportableResult:
    """A report with everything in it."""
    day = TAKEN.date().toordinal()
    tests = [
        Measured(day - 28 + 7 * at, "", Decimal(inr)) for at, inr in enumerate(("2.5", "3.4", "2.8", "1.9", "2.3"))
    ]
    summary = summarise(tests, [Target(day - 100, Decimal(2), Decimal(3))])
    fields: dict[str, Any] = {
        "result": body(quantity("2.30")),
        "limits": FourNumbers(),
        "interpretation": ("N",),
        "history": history("2.5", "3.4", "2.8", "1.9"),
        "summary": summary,
        "order_id": "ORD-778",
    }
    return reportable(**{**fields, **changes})


def words(report: ReportableResult) -> str:
    """Everything that stands on the sheet."""
    return repr(compose.of_result(report, PLAIN))


# ---------------------------------------------------------------- what it says


def test_it_says_who_what_when_and_against_which_target() -> None:
    sheet = compose.of_result(full(), PLAIN)
    assert sheet.patient == "Doe, Jane"
    assert dict(sheet.patient_facts) == {"Born": "18 Mar 1948", "Sex": "female", "Your patient id": "MRN000001"}
    assert sheet.headline is not None
    assert (sheet.headline.value, sheet.headline.verdict, sheet.headline.mark) == ("2.30", "IN TARGET", Mark.IN)
    facts = dict(sheet.facts)
    assert facts["Taken"] == "Sat 14 Mar 2026, 07:28 EDT (UTC-04:00)"
    assert facts["Time"] == "meter clock checked; known within 2 min"
    assert facts["Target range"] == "2.0 to 3.0 (set for this patient)"
    assert facts["Critical"] == "below 1.5; 5.0 and above"
    assert (facts["Meter"], facts["Serial number"], facts["Strip lot"]) == ("ACME HomeINR", "SN000123", "564636")
    assert facts["Source"] == "read from the meter's memory"
    assert facts["Order"] == "ORD-778"
    assert sheet.banners == []
    assert "no dosing advice" in sheet.foot


def test_the_figures_are_those_of_the_published_example() -> None:
    """(0, 2.5) (7, 3.4) (14, 2.8) (21, 1.9) (28, 2.3) against 2 to 3: 63.19 % of 28 days, sigma 0.7314."""
    tiles = compose.of_result(full(), PLAIN).tiles
    assert [tile.value for tile in tiles] == ["63.2 %", "3 of 5", "0.73"]
    assert tiles[0].note == "28 of 28 days covered, 14 Feb 2026 to 14 Mar 2026"
    assert tiles[1].note.startswith("60.0 %")


def test_the_table_and_the_picture_show_the_last_results_and_mark_this_one() -> None:
    sheet = compose.of_result(full(), DocumentSettings(rows=3, picture_days=10))
    assert [row[1:] for row in sheet.rows] == [
        ("2.30", "in target", "7"),
        ("1.9", "below target", "7"),
        ("2.8", "in target", "7"),
    ]
    assert sheet.rows[0][0].endswith("(this report)")
    assert sheet.marks == [Mark.IN, Mark.OUT, Mark.IN]
    assert sheet.trend is not None
    assert [(point.value, point.this) for point in sheet.trend.points] == [
        (Decimal("1.9"), False),
        (Decimal("2.30"), True),
    ]


def test_a_value_off_the_measuring_range_is_never_a_plain_number() -> None:
    report = full(result=body(quantity("8.0", ">")), interpretation=("HH", ">"))
    sheet = compose.of_result(report, PLAIN)
    assert sheet.headline is not None
    assert (sheet.headline.value, sheet.headline.verdict) == ("> 8.0", "CRITICALLY HIGH")
    assert "above its measuring range" in sheet.headline.note
    assert sheet.rows[0][1] == "> 8.0"
    assert sheet.trend is not None
    assert sheet.trend.points[-1].comparator == ">"


def test_without_limits_nothing_is_compared() -> None:
    sheet = compose.of_result(full(limits=None, interpretation=(), summary=None), PLAIN)
    assert sheet.headline is not None
    assert (sheet.headline.verdict, sheet.headline.mark) == ("", Mark.NONE)
    assert {row[2] for row in sheet.rows} == {""}
    assert sheet.tiles == []
    assert sheet.trend is not None
    assert sheet.trend.target is None
    assert set(sheet.marks) == {Mark.NONE}


def test_a_withdrawn_result_is_struck_out_and_in_no_list() -> None:
    sheet = compose.of_result(full(status=Status.RETRACTED, version=2), PLAIN)
    assert [banner.headline for banner in sheet.banners] == ["WITHDRAWN"]
    assert sheet.headline is not None
    assert sheet.headline.struck
    assert not sheet.headline.verdict
    assert not any("2.30" in row for row in sheet.rows)


@pytest.mark.parametrize(
    ("changes", "banners"),
    [
        ({"status": Status.CORRECTED, "version": 3}, ["CORRECTED"]),
        ({"processing_id": "T"}, ["TEST"]),
        ({"origin": Origin.SIMULATOR}, ["TEST"]),
        ({"origin": Origin.REPLAY, "status": Status.RETRACTED}, ["TEST", "WITHDRAWN"]),
    ],
)
def test_banners(changes: dict[str, Any], banners: list[str]) -> None:
    assert [banner.headline for banner in compose.of_result(full(**changes), PLAIN).banners] == banners


def test_what_a_person_entered_says_so() -> None:
    report = full(origin=Origin.PERSON, note="phoned in, Pat Clerk", quality=Quality.STATED, uncertainty_s=3600.0)
    facts = dict(compose.of_result(report, PLAIN).facts)
    assert facts["Source"] == "entered by hand: phoned in, Pat Clerk"
    assert facts["Time"] == "stated by a person; known within 60 min"


def test_times_are_the_same_on_every_machine() -> None:
    taken = reportable().taken_at
    assert zone(taken) == "EDT (UTC-04:00)"
    assert instant(reportable().released_at) == "14 Mar 2026 12:15 UTC"
    assert [span(seconds) for seconds in (30, 120, 7200)] == ["30 s", "2 min", "2 h"]


# ---------------------------------------------------------------- the file


def pages(octets: bytes) -> int:
    found = re.search(rb"/Count (\d+)", octets)
    assert found is not None
    return int(found[1])


def test_the_same_report_gives_the_same_octets_anywhere() -> None:
    octets = render(full(), PLAIN)
    assert octets == render(full(), PLAIN)
    script = (
        "import sys; from tests.unit.reporting.test_document import full, render, PLAIN;"
        "sys.stdout.buffer.write(render(full(), PLAIN))"
    )
    there = {**os.environ, "TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    made = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=there, capture_output=True, check=True)
    assert made.stdout == octets


def test_it_is_one_page_with_all_its_fonts_in_it() -> None:
    octets = render(full(status=Status.CORRECTED, processing_id="T"), PLAIN)
    assert octets.startswith(b"%PDF-1.")
    assert pages(octets) == 1
    assert octets.count(b"/FontFile2") == 2
    assert b"Helvetica" not in octets
    assert len(octets) < 80_000


def test_many_results_go_on_and_on() -> None:
    many = history(*["2.5"] * 150, step_days=1)
    assert pages(render(full(history=many), DocumentSettings(rows=150, paper="a4"))) > 2
    assert pages(render(full(history=many), PLAIN)) == 1


def test_text_can_be_read_out_of_it(tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext (poppler-utils)")
    file = tmp_path / "report.pdf"
    file.write_bytes(render(full(patient=replace(PATIENT, family_name="Wołoszczuk", given_name="Ольга")), PLAIN))
    text = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, check=True).stdout.decode()
    for said in ("Wołoszczuk, Ольга", "MRN000001", "2.30", "IN TARGET", "63.2 %", "EDT (UTC-04:00)", "Page 1 of 1"):
        assert said in text


@settings(max_examples=25)
@given(st.text(max_size=120), st.text(max_size=120), st.text(max_size=200))
def test_any_name_gets_one_page(family: str, given_name: str, clinic: str) -> None:
    patient = replace(PATIENT, family_name=family, given_name=given_name)
    assert pages(render(full(patient=patient, provider=replace(PROVIDER, name=clinic)), PLAIN)) <= 2


def test_a_letter_that_no_font_has_stands_as_its_number_and_the_page_says_so(tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext (poppler-utils)")
    file = tmp_path / "report.pdf"
    file.write_bytes(render(full(patient=replace(PATIENT, family_name="王")), PLAIN))
    text = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, check=True).stdout.decode()
    assert "[U+738B], Jane" in text
    assert "do not have stands as its Unicode number" in text


def test_a_font_that_cannot_be_used_is_named() -> None:
    wanted = DocumentSettings(more_fonts=(Path(__file__),))
    with pytest.raises(UnreportableError, match=re.escape(__file__)):
        render(full(), wanted)


def test_another_font_is_used_for_what_is_lacking(tmp_path: Path) -> None:
    """Any TrueType file will do: one that has all letters adds a font to a sheet only where it is needed."""
    own = ROOT / "gateway/reporting/channels/document/fonts/DejaVuSansCondensed-Bold.ttf"
    copy = tmp_path / "more.ttf"
    copy.write_bytes(own.read_bytes())
    assert render(full(), DocumentSettings(more_fonts=(copy,))) == render(full(), PLAIN)


# ---------------------------------------------------------------- letters


@pytest.mark.parametrize(
    ("written", "drawn"),
    [
        ("Doe, Jane", "Doe, Jane"),
        ("A\u030angstro\u0308m", "\u00c5ngstr\u00f6m"),
        ("שרה כהן", "ןהכ הרש"),
        ("Levi (לוי)", "Levi (יול)"),
        ("כהן (שרה) 12", "(הרש) ןהכ 12"),
        # Arabic letters by their neighbours: meem-hah-meem-dal, and the ligature of lam with alef.
        ("محمد", "\ufeaa\ufee4\ufea4\ufee3"),
        ("لا", "\ufefb"),
        ("سلام", "\ufee1\ufefc\ufeb3"),
        ("گل", "\ufede\ufb94"),
        ("a\x00b\nc", "a b c"),
    ],
)
def test_letters_stand_in_the_order_in_which_they_are_drawn(written: str, drawn: str) -> None:
    assert shown(written) == drawn


@given(st.text(alphabet="aB1 ,-()\u05d0\u05d1\u05ea\u05b7\u0301", max_size=30))
def test_no_letter_is_lost_or_made_up(text: str) -> None:
    def letters(of: str) -> list[str]:
        return sorted(unicodedata.normalize("NFC", of).replace(")", "("))

    assert letters(shown(text)) == letters(text)


def test_dates_of_birth_are_not_taken_for_another() -> None:
    assert "3 Apr 1951" in words(full(patient=replace(PATIENT, birth_date=date(1951, 4, 3))))
