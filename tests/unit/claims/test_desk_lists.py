"""The lists as the people at the desk use them: the biller, the nurse, whoever phones the patients."""

from __future__ import annotations

import datetime as dt

import pytest

from gateway.result import Kind
from tests.unit.claims.desk import MONDAYS, NOW, Desk

LATE = NOW + dt.timedelta(days=200)


def four(desk: Desk, patient: str = "P1") -> list[int]:
    return [desk.test(patient, taken) for taken in MONDAYS[:4]]


# ---------------------------------------------------------------- units that wait for tests


def test_a_waiting_unit_names_the_last_talk_the_expected_week_and_its_value(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[4:7]:
        desk.test("P1", taken)
    desk.paper("P1", "supply_contact", date="2026-03-20")
    desk.paper("P1", "contact", date="2026-03-24", reached=True, note="will test tomorrow")
    desk.paper("P1", "contact", date="2026-03-28", reached=False)
    (row,) = desk.rows("worklist", "aging")
    assert (row["last_contact"], row["expected_week"], row["value_cents"]) == ("2026-03-24", "2026-03-29", 12345)


def test_without_a_price_table_the_value_is_left_open(desk: Desk) -> None:
    desk.patient()
    desk.test("P1", MONDAYS[0])
    (desk.folder / "prices.toml").unlink()
    (row,) = desk.rows("worklist", "aging")
    assert row["value_cents"] is None
    (desk.folder / "prices.toml").write_text("[[price]]\ncode = 3\n", encoding="utf-8")
    said = desk.units("worklist", "aging")
    assert (said.code, "prices.toml" in said.err) == (1, True)


# ---------------------------------------------------------------- missed weeks


def test_the_longest_silence_is_called_first(desk: Desk) -> None:
    for patient, week in (("P1", 5), ("P2", 2), ("P3", 4)):
        desk.patient(patient)
        desk.test(patient, MONDAYS[week])
    desk.patient("P4")
    found = [(row["patient"], row["days"]) for row in desk.rows("worklist", "missed-week")]
    assert found == [("P4", 74), ("P2", 42), ("P3", 28), ("P1", 21)]


def test_whom_to_call_and_what_was_said_last(desk: Desk) -> None:
    desk.patient()
    desk.test("P1", MONDAYS[3])
    desk.paper("P1", "event", type="hold", date="2026-03-10")
    desk.paper("P1", "contact", date="2026-03-12", reached=True, note="in hospital")
    (row,) = desk.rows("worklist", "missed-week")
    assert (row["last_contact"], row["words"]) == ("2026-03-12", "on hold since 2026-03-10: call all the same")


def test_each_of_the_three_says_who_must_see_to_it(desk: Desk) -> None:
    for patient in ("P1", "P2", "P3"):
        desk.patient(patient)
    desk.test("P2", MONDAYS[7], reported=None)
    desk.test("P3", MONDAYS[7], acknowledged=None)
    found = [(row["what"], row["words"]) for row in desk.rows("worklist", "missed-week")]
    assert found == [
        ("not tested", "call the patient"),
        ("not reported", "our delivery: 'results list' and 'deliveries' say why it waits"),
        ("not acknowledged", "the provider: ask whether it arrived"),
    ]


def test_a_result_that_nobody_acknowledged_is_listed_whatever_else_is_against_it(desk: Desk) -> None:
    """The list for billing and the list for safety are the same."""
    desk.patient("P1", order_signed_on=None)
    desk.patient("P2")
    extra = desk.test("P2", MONDAYS[7], acknowledged=None)
    told = {"text": "INR 6", "author": "N", "documented_at": "2026-03-23T16:00:00Z"}
    desk.paper("P2", "early_reason", extra, category="repeat_abnormal", **told)
    alone = desk.test("P1", MONDAYS[7], acknowledged=None)
    stuck = [(row["patient"], row["test"]) for row in desk.rows("worklist", "missed-week") if row["test"]]
    assert stuck == [("P1", str(alone)), ("P2", str(extra))]


def test_a_result_of_the_payer_before_is_not_forgotten(desk: Desk) -> None:
    desk.patient()
    stuck = desk.test("P1", MONDAYS[3], acknowledged=None)
    desk.test("P1", MONDAYS[7])
    desk.paper("P1", "coverage", payer="medicare_ffs", mac="noridian", from_="2025-01-01")
    desk.paper("P1", "coverage", payer="ma_plan_ma05.016", from_="2026-03-01")
    rows = [(row["what"], row["test"]) for row in desk.rows("worklist", "missed-week")]
    assert rows == [("not acknowledged", str(stuck))]


def test_what_was_withdrawn_waits_for_nobody(desk: Desk) -> None:
    desk.patient()
    desk.test("P1", MONDAYS[7])
    gone = desk.test("P1", MONDAYS[6], acknowledged=None)
    desk.retract(gone, "P1", MONDAYS[6])
    assert desk.rows("worklist", "missed-week") == []


# ---------------------------------------------------------------- strips


def test_strips_last_as_long_as_the_order_says_and_a_correction_gives_none_back(desk: Desk) -> None:
    desk.patient()
    desk.paper("P1", "order", signed_on="2026-01-10", interval_days=14, practitioner="Dr. V")
    desk.paper("P1", "supply_delivery", date="2026-01-20", strips=6, proof="1Z999")
    tests = four(desk)
    desk.correct(tests[0], "P1", MONDAYS[0], inr="2.6")
    (row,) = desk.rows("worklist", "supplies")
    assert (row["on_hand"], row["exhausted_on"]) == (2, "2026-04-28")


# ---------------------------------------------------------------- exceptions


def test_the_pattern_shows_errors_and_missed_weeks(desk: Desk) -> None:
    desk.patient()
    for week in (0, 1, 4):
        desk.test("P1", MONDAYS[week])
    desk.test("P1", MONDAYS[2], kind=Kind.ERROR)
    total, patient = desk.rows("worklist", "pattern")
    assert (total["errors"], total["errors_percent"]) == (1, 25.0)
    assert (patient["patient"], patient["errors"], patient["missed_weeks"]) == ("P1", 1, 5)


def test_only_the_last_tests_off_the_interval_when_asked(desk: Desk) -> None:
    desk.patient()
    desk.paper("P1", "order", signed_on="2026-01-10", interval_days=7, practitioner="Dr. V")
    for week in (0, 2, 3, 7):
        desk.test("P1", MONDAYS[week])
    assert len(desk.rows("worklist", "interval")) == 2
    assert [row["date"] for row in desk.rows("worklist", "interval", "--within", "7")] == ["2026-03-23"]
    assert desk.rows("worklist", "interval", "--within", "6") == []


# ---------------------------------------------------------------- who pays for tests beside the units


def test_extras_and_who_bears_them(desk: Desk) -> None:
    told = {"text": "INR 6", "author": "N", "documented_at": "2026-02-05T16:00:00Z"}
    for patient in ("P1", "P2", "P3", "P4"):
        desk.patient(patient)
        four(desk, patient)
        extra = desk.test(patient, MONDAYS[0] + dt.timedelta(days=2))
        if patient != "P4":
            desk.paper(patient, "early_reason", extra, category="repeat_abnormal", **told)
        if patient in ("P1", "P2"):
            desk.paper(patient, "extra_order", extra, signed_on="2026-02-03", practitioner="Dr. V")
        if patient == "P1":
            desk.paper(patient, "abn", extra, signed_at="2026-02-03T10:00:00")
    rows = desk.rows("worklist", "extras")
    found = [(row["patient"], row["reason"], row["bears"], row["modifier"]) for row in rows]
    assert found == [
        ("P1", "EXTRA_CLINICAL", "patient", "GA"),
        ("P2", "EXTRA_CLINICAL", "supplier", "GZ"),
        ("P3", "EXTRA_CLINICAL", "supplier", None),
        ("P4", "SAME_WEEK_NO_REASON", "supplier", None),
    ]
    first, second, third, _ = rows
    assert (first["date"], first["ordered_on"], first["notice_signed_at"]) == (
        "2026-02-04",
        "2026-02-03",
        "2026-02-03T10:00:00",
    )
    assert "no notice (ABN) was signed before the test" in second["words"]
    assert "no order was signed before the test" in third["words"]


def test_a_plans_member_signs_no_notice_of_original_medicare(desk: Desk) -> None:
    desk.patient("P1", payer="ma_plan_ma05.016", mac="")
    extra = [*four(desk), desk.test("P1", MONDAYS[0] + dt.timedelta(days=2))][-1]
    told = {"text": "INR 6", "author": "N", "documented_at": "2026-02-05T16:00:00Z"}
    desk.paper("P1", "early_reason", extra, category="repeat_abnormal", **told)
    desk.paper("P1", "extra_order", extra, signed_on="2026-02-03", practitioner="Dr. V")
    desk.paper("P1", "abn", extra, signed_at="2026-02-03T10:00:00")
    (row,) = desk.rows("worklist", "extras")
    assert "Original Medicare alone" in row["words"]


# ---------------------------------------------------------------- practices


def test_a_practice_sees_what_it_reviewed_beside_what_the_supplier_counts(desk: Desk) -> None:
    for patient in ("P1", "P2"):
        desk.patient(patient)
        desk.write(
            "INSERT INTO treatment (patient_id, provider_id, provider_patient_id, from_at)"
            " VALUES (?, 'clinic', 'M', '2025-01-01T00:00:00.000Z')",
            patient,
        )
    desk.patient("P3")
    reviewed = [desk.test("P1", taken) for taken in MONDAYS[:6]]
    for test, taken in zip(reviewed[:5], MONDAYS, strict=False):
        desk.paper("P1", "review", test, reviewed_at=taken.isoformat(), practitioner="Dr. V")
    four(desk, "P2")
    one, two = desk.rows("worklist", "practices")
    assert (one["practice"], one["patient"], one["units"], one["pending"], one["to_review"]) == (
        "Riverside Clinic",
        "P1",
        1,
        "1 of 4",
        1,
    )
    assert (one["supplier_units"], one["supplier_pending"]) == (1, "2 of 4")
    assert (two["patient"], two["units"], two["to_review"], two["supplier_units"]) == ("P2", 0, 4, 1)


# ---------------------------------------------------------------- who pays


def test_an_answer_about_eligibility_that_says_otherwise_holds_the_units(desk: Desk) -> None:
    desk.patient()
    four(desk)
    (row,) = desk.rows("worklist", "ready")
    assert row["eligibility"] is None
    desk.paper("P1", "eligibility", checked_on="2026-03-27", payer="medicare_ffs", reference="271-1")
    (row,) = desk.rows("worklist", "ready")
    assert row["eligibility"] == "2026-03-27"
    desk.paper("P1", "eligibility", checked_on="2026-03-28", payer="ma_plan_x", from_="2026-01-01")
    assert desk.rows("worklist", "ready") == []
    (row,) = desk.rows("worklist", "held")
    assert (row["what"], row["date"], row["reason"]) == ("patient", "2026-03-28", "ELIGIBILITY_DIFFERS")
    assert row["words"] == (
        "asked on 2026-03-28: ma_plan_x from 2026-01-01, where medicare_ffs is on record: record the coverage as "
        "it is, or ask again"
    )


def test_a_death_that_the_payer_knows_of_holds_the_units_until_it_is_recorded(desk: Desk) -> None:
    desk.patient()
    four(desk)
    desk.paper("P1", "eligibility", checked_on="2026-03-28", payer="medicare_ffs", died_on="2026-03-20")
    (row,) = desk.rows("worklist", "held")
    assert (row["reason"], "died on 2026-03-20" in row["words"]) == ("ELIGIBILITY_DIFFERS", True)
    desk.paper("P1", "event", type="death", date="2026-03-20")
    assert desk.rows("worklist", "held") == []
    assert len(desk.rows("worklist", "ready")) == 1


def test_what_is_left_with_the_payer_before_is_held_up_to_view(desk: Desk) -> None:
    desk.patient()
    four(desk)
    desk.paper("P1", "coverage", payer="medicare_ffs", mac="noridian", from_="2025-01-01")
    desk.paper("P1", "coverage", payer="ma_plan_ma05.016", from_="2026-03-10")
    rows = [row for row in desk.rows("worklist", "held") if row["reason"] == "PAYER_CHANGED"]
    assert [(row["period"], row["what"], row["date"]) for row in rows] == [(1, "patient", "2026-03-10")]
    desk.units("sign", "P1", "1", "--period", "1", "--by", "Bea")
    desk.units("export", "--to", str(desk.folder / "out"), "--by", "Eve")
    assert [row["reason"] for row in desk.rows("worklist", "held")] == []


# ---------------------------------------------------------------- held, ready, ending


def test_one_missing_paper_is_one_line_however_many_tests_it_holds(desk: Desk) -> None:
    desk.patient("P1", order_signed_on=None)
    tests = four(desk)
    (row,) = desk.rows("worklist", "held")
    assert (row["what"], row["date"], row["reason"]) == (
        f"tests {' '.join(map(str, tests))}",
        "2026-02-02",
        "NO_ACTIVE_ORDER",
    )


def test_an_invalid_claim_is_named_by_its_id(desk: Desk) -> None:
    desk.patient()
    tests = four(desk)
    desk.units("sign", "P1", "1", "--by", "Bea")
    desk.units("export", "--to", str(desk.folder / "out"), "--by", "Eve")
    (claim,) = [row["claim"] for row in desk.rows("claims")]
    desk.retract(tests[0], "P1", MONDAYS[0])
    found = [(row["what"], row["reason"]) for row in desk.rows("worklist", "held")]
    assert (f"claim {claim}", "CLAIMED_TEST_INVALIDATED") in found


def test_what_is_ready_names_the_payer(desk: Desk) -> None:
    desk.patient()
    four(desk)
    (row,) = desk.rows("worklist", "ready")
    assert row["payer"] == "medicare_ffs noridian"


@pytest.mark.parametrize(("event", "words"), [("withdrawn", "PT WITHDREW"), ("death", "PT DIED")])
def test_what_ended_says_the_charge_and_the_words_of_each_form(desk: Desk, event: str, words: str) -> None:
    desk.patient()
    for taken in MONDAYS[:3]:
        desk.test("P1", taken)
    desk.paper("P1", "event", type=event, date="2026-03-05")
    (row,) = desk.rows("worklist", "ending")
    said = f"3 OF 4 TESTS REPORTED REDUCED SERVICES {words}"
    assert (row["charge_cents"], row["words"], row["block_80"], row["nte"]) == (9259, said, said, said)
    assert row["sv101"] == row["sv202"] == f"HC:G0249:52::::{said}"


def test_a_list_is_empty_in_each_form(desk: Desk) -> None:
    for name in ("extras", "practices", "ready", "missed-week"):
        assert desk.units("worklist", name).out == f"{name}: nothing\n"
        assert desk.units("worklist", name, "--json").out == ""
        assert desk.units("worklist", name, "--csv").out.count("\n") == 1


def test_an_end_with_nothing_left_goes_last_and_goes_away(desk: Desk) -> None:
    for patient, date in (("P1", "2026-01-20"), ("P2", "2026-03-05"), ("P3", "2026-03-10")):
        desk.patient(patient)
        if patient == "P3":
            desk.test(patient, MONDAYS[0])
        desk.paper(patient, "event", type="withdrawn", date=date)
    listed = [row["patient"] for row in desk.rows("worklist", "ending")]
    assert listed == ["P3", "P1", "P2"]
    assert [row["patient"] for row in desk.rows("worklist", "ending", "--within", "30")] == ["P3", "P2"]
    assert [row["patient"] for row in desk.rows("worklist", "ending", "--as-of", "2026-09-30")] == ["P3"]


def test_a_table_names_many_tests_by_the_first_and_the_last(desk: Desk) -> None:
    desk.patient("P1", order_signed_on=None)
    for taken in MONDAYS[:6]:
        desk.test("P1", taken)
    assert "6 tests, 1 to 6 " in desk.units("worklist", "held").out
    assert desk.rows("worklist", "held")[0]["what"] == "tests 1 2 3 4 5 6"


def test_what_a_patient_bears_comes_before_what_nobody_pays(desk: Desk) -> None:
    told = {"text": "INR 6", "author": "N", "documented_at": "2026-02-05T16:00:00Z"}
    for patient in ("P1", "P2"):
        desk.patient(patient)
        four(desk, patient)
        extra = desk.test(patient, MONDAYS[0] + dt.timedelta(days=2))
        if patient == "P2":
            desk.paper(patient, "early_reason", extra, category="repeat_abnormal", **told)
            desk.paper(patient, "extra_order", extra, signed_on="2026-02-03", practitioner="Dr. V")
            desk.paper(patient, "abn", extra, signed_at="2026-02-03T10:00:00")
    assert [row["patient"] for row in desk.rows("worklist", "extras")] == ["P2", "P1"]
    assert desk.rows("worklist", "extras", "--within", "30") == []
