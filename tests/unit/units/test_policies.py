"""The policy files and the diagnosis table that ship, and how they are chosen and refused."""

from __future__ import annotations

import copy
import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from gateway.reporting.units import errors
from gateway.reporting.units.diagnoses import DiagnosisTable, coverage, diagnosis_table
from gateway.reporting.units.policy import Policy, choose, policies, with_options
from gateway.reporting.units.tally import tally
from tests.unit.units.build import ENROLLED, policy, weekly

DAY = dt.date(2024, 6, 5)


@pytest.fixture(scope="session")
def book(policy_files: list[dict[str, Any]], table: DiagnosisTable) -> list[Policy]:
    return [found for file in policy_files for found in policies(file, {table.id: table})]


@pytest.mark.parametrize(
    ("payer", "mac", "expected", "week_basis", "early_rule"),
    [
        ("medicare_ffs", "noridian", "ncd-noridian 2020-04-29", "calendar_sun_sat", "fill_missed_next_week"),
        ("ma_plan_ma05.016", None, "ma05.016f 2019-11-04", "calendar_sun_sat", "never"),
        ("plan_once_a_week", "noridian", "once-a-week-rolling7 1", "rolling7", "never"),
    ],
)
def test_a_policy_is_chosen_by_payer_and_date(
    book: list[Policy], payer: str, mac: str | None, expected: str, week_basis: str, early_rule: str
) -> None:
    found = choose(book, payer, DAY, mac)
    assert (found.id, found.week_basis, found.early_rule) == (expected, week_basis, early_rule)


@pytest.mark.parametrize(
    ("payer", "mac", "on"),
    [
        ("medicare_ffs", "novitas", DAY),
        ("medicare_ffs", None, DAY),
        ("medicare_ffs", "noridian", dt.date(2017, 10, 8)),
        ("ma_plan_ma05.016", None, dt.date(2019, 11, 3)),
        ("unheard of", None, DAY),
    ],
)
def test_where_none_is_in_force_nothing_is_guessed(
    book: list[Policy], payer: str, mac: str | None, on: dt.date
) -> None:
    with pytest.raises(errors.NoPolicyError, match=f"in force on {on}"):
        choose(book, payer, on, mac)


def test_two_of_equal_rank_are_refused_and_a_contractors_own_goes_first(book: list[Policy]) -> None:
    own = choose(book, "medicare_ffs", DAY, "noridian")
    general = with_options(own, {"min_days_between_dos": 29})
    with pytest.raises(errors.NoPolicyError, match="are all in force"):
        choose([own, general], "medicare_ffs", DAY, "noridian")


def test_every_shipped_policy_says_on_whose_word(book: list[Policy]) -> None:
    assert len(book) == 3
    for found in book:
        assert found.sources
        assert found.source_of("R15") is not None
        physician = found.for_service("G0250")
        assert (physician.service, physician.min_days_first_test_to_dos, physician.min_days_between_dos) == (
            "G0250",
            0,
            28,
        )
        assert physician.for_service("G0249").service == "G0249"
    unconfirmed = choose(book, "medicare_ffs", DAY, "noridian").source_of("R32")
    assert unconfirmed is not None
    assert unconfirmed.weight == "unconfirmed"


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("effective_to", dt.date(2001, 1, 1), errors.DateOrderError),
        ("diagnoses", "nowhere", errors.BadCodeError),
        ("options", {"week_basis": "iso"}, errors.BadCodeError),
        ("options", {"dos_basis": "delivery"}, errors.BadCodeError),
        ("options", {"zone_basis": "supplier"}, errors.BadValueError),
        ("options", {"zone_basis": "supplier", "supplier_tz": "Moon"}, errors.UnknownZoneError),
        ("options", [1], errors.BadValueError),
        ("g0250", {"min_days": 3}, errors.BadCodeError),
        ("efective_to", dt.date(2030, 1, 1), errors.BadCodeError),
        ("rule", [{"id": "R1", "source": "x", "weight": "heavy"}], errors.BadCodeError),
        ("version", None, errors.BadValueError),
    ],
)
def test_a_bad_policy_file_is_refused_by_name(
    policy_files: list[dict[str, Any]],
    table: DiagnosisTable,
    key: str,
    value: object,
    error: type[errors.UnitsError],
) -> None:
    file = copy.deepcopy(policy_files[0])
    file["version"][0][key] = value
    with pytest.raises(error, match=f"^policy {file['id']}: "):
        policies(file, {table.id: table})


def test_overlapping_versions_are_refused(policy_files: list[dict[str, Any]], table: DiagnosisTable) -> None:
    file = copy.deepcopy(policy_files[0])
    file["version"].append({**file["version"][0], "version": "next", "effective_from": dt.date(2030, 1, 1)})
    with pytest.raises(errors.DateOrderError, match="overlap"):
        policies(file, {table.id: table})
    file["version"][0]["effective_to"] = dt.date(2029, 12, 31)
    old, new = policies(file, {table.id: table})
    assert choose([old, new], file["payers"][0], dt.date(2029, 12, 31), "noridian") is old
    assert choose([old, new], file["payers"][0], dt.date(2030, 1, 1), "noridian") is new


def test_a_date_of_service_outside_the_policys_period_brings_a_notice(table: DiagnosisTable) -> None:
    old = replace(policy(table), effective_to=dt.date(2024, 7, 2))
    statement = tally(ENROLLED, weekly(4), (), (), old, dt.date(2024, 7, 5))
    assert "lies outside the period of house" in statement.notices[0]
    assert tally(ENROLLED, weekly(4), (), (), policy(table), dt.date(2024, 7, 5)).notices == ()


class TestDiagnoses:
    @pytest.mark.parametrize(
        ("codes", "valve", "day", "covered"),
        [
            (("I48.20",), None, DAY, "covered"),
            (("i4820",), None, DAY, "covered"),
            (("I48.20",), None, dt.date(2019, 9, 30), "not_covered"),
            (("I48.2",), None, dt.date(2019, 9, 30), "covered"),
            (("I48.2",), None, dt.date(2019, 10, 1), "not_covered"),
            (("Z79.01",), None, DAY, "not_covered"),
            (("I48.3",), None, DAY, "not_covered"),
            (("I48.91",), None, DAY, "not_covered"),
            (("I82.411",), None, DAY, "covered"),
            (("I82.6",), None, DAY, "not_covered"),
            (("Z95.2",), "mechanical", DAY, "covered"),
            (("Z95.2",), None, DAY, "not_covered"),
            (("Z95.2",), "bioprosthetic", DAY, "not_covered"),
            (("Z95.3",), None, DAY, "not_covered"),
            (("Z95.3", "I48.20"), None, DAY, "covered_with_porcine_valve"),
            (("I48.20",), "porcine", DAY, "covered_with_porcine_valve"),
            (("Z95.2", "Z95.3"), "mechanical", DAY, "covered_with_porcine_valve"),
            ((), None, DAY, "not_covered"),
        ],
    )
    def test_what_is_covered(
        self, table: DiagnosisTable, codes: tuple[str, ...], valve: str | None, day: dt.date, covered: str
    ) -> None:
        worth = coverage(table, codes, valve, include_unspecified_af=False, count_porcine=True)
        assert worth.verdict(day.toordinal()) == covered

    def test_the_policy_decides_about_unspecified_fibrillation_and_porcine_valves(
        self, table: DiagnosisTable
    ) -> None:
        day = DAY.toordinal()
        included = coverage(table, ("I48.91",), None, include_unspecified_af=True, count_porcine=True)
        assert included.codes_on(day) == ("I48.91",)
        excluded = coverage(table, ("Z95.3", "I48.20"), None, include_unspecified_af=False, count_porcine=False)
        assert excluded.verdict(day) == "not_covered"

    @pytest.mark.parametrize(
        ("row", "error"),
        [
            ({"codes": ["48.20"]}, errors.BadCodeError),
            ({"group": "lung"}, errors.BadCodeError),
            ({"to": dt.date(2000, 1, 1)}, errors.DateOrderError),
            ({"switch": "sometimes"}, errors.BadCodeError),
            ({"source": None}, errors.BadValueError),
            ({"from": None}, errors.BadValueError),
        ],
    )
    def test_a_bad_table_is_refused(self, row: dict[str, object], error: type[errors.UnitsError]) -> None:
        plain = {"codes": ["I48.20"], "group": "af", "from": dt.date(2019, 10, 1), "source": "test"}
        shell = {"id": "x", "valve_types": ["mechanical", "porcine"], "porcine_valve_types": ["porcine"]}
        assert diagnosis_table({**shell, "covers": [plain]}).rows
        with pytest.raises(error):
            diagnosis_table({**shell, "covers": [{**plain, **row}]})
