"""A signature is a named person's, on one unit's exact content."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from gateway.database import transaction
from gateway.reporting import policies, statements
from gateway.store import epochs
from tests.unit.claims.desk import MONDAYS, Desk


def test_a_complete_unit_is_signed_once(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    first = desk.units("sign", "P1", "1", "--by", "Bea Biller", "--note", "looked at")
    assert first.code == 0
    assert "signed by Bea Biller" in first.out
    again = desk.units("sign", "P1", "unit 1", "--by", "Somebody Else")
    assert again.code == 0
    assert "signed already by Bea Biller" in again.out
    assert desk.value("SELECT count(*) FROM sign_off") == 1
    assert desk.value("SELECT note FROM decision WHERE act = 'sign'") == "looked at"
    (row,) = desk.rows("worklist", "ready")
    assert (row["date_of_service"], row["signed_by"]) == ("2026-03-02", "Bea Biller")


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("P1", "2", "--by", "Bea"), "there is no unit 2"),
        (("P1", "1", "--by", "  "), "the name is blank"),
        (("P1", "1", "--by", "Bea", "--as-of", "2026-03-01"), "earliest date of service is 2026-03-02"),
        (("P1", "1", "--by", "Bea", "--as-of", "2026-03-31"), "lies in the future"),
        (("P1", "1", "--by", "Bea", "--accept", "EARLY_TEST"), "does not carry EARLY_TEST"),
        (("P1", "1", "--by", "Bea", "--accept", "NONSENSE"), "no such flag"),
        (("P1", "1", "--by", "Bea", "--period", "2"), "there is no period 2"),
        (("P9", "1", "--by", "Bea"), "patient P9 is not enrolled"),
    ],
)
def test_refusals_change_nothing(desk: Desk, words: tuple[str, ...], refusal: str) -> None:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    said = desk.units("sign", *words)
    assert said.code == 1
    assert refusal in said.err
    assert desk.value("SELECT count(*) FROM sign_off") == 0
    assert desk.value("SELECT count(*) FROM decision WHERE act = 'sign'") == 0


def test_a_unit_number_must_be_one(desk: Desk) -> None:
    assert desk.units("sign", "P1", "first", "--by", "Bea").code == 2


def test_every_review_flag_is_accepted_by_name(desk: Desk) -> None:
    desk.patient()
    desk.test("P1", MONDAYS[0], acknowledged=dt.timedelta(days=9))
    for taken in MONDAYS[1:4]:
        desk.test("P1", taken)
    (held,) = desk.rows("worklist", "held")
    assert (held["what"], held["reason"]) == ("unit 1", "LATE_REPORT")
    assert desk.rows("worklist", "ready") == []
    refused = desk.units("sign", "P1", "1", "--by", "Bea")
    assert refused.code == 1
    assert "--accept LATE_REPORT" in refused.err
    assert "more than seven days after its test" in refused.err
    assert desk.units("sign", "P1", "1", "--by", "Bea", "--accept", "LATE_REPORT").code == 0
    assert desk.rows("worklist", "held") == []
    (ready,) = desk.rows("worklist", "ready")
    assert (ready["flags"], ready["signed_by"]) == ("LATE_REPORT", "Bea")


def test_a_passed_filing_limit_is_a_flag_to_accept(desk: Desk) -> None:
    for patient in ("P1", "P2"):
        desk.patient(patient)
        for taken in MONDAYS[:4]:
            desk.test(patient, taken)
    desk.set_clock(dt.datetime(2027, 3, 2, 20, tzinfo=dt.UTC))
    assert desk.units("sign", "P1", "1", "--by", "Bea", "--as-of", "2026-03-02").code == 0
    desk.set_clock(dt.datetime(2027, 3, 3, 20, tzinfo=dt.UTC))
    refused = desk.units("sign", "P2", "1", "--by", "Bea")
    assert refused.code == 1
    assert "FILING_LIMIT_PASSED" in refused.err
    assert "CO-29" in refused.err


def test_nothing_is_signed_or_exported_after_a_restore_until_it_is_reconciled(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    desk.restored()
    signed = desk.units("sign", "P1", "1", "--by", "Bea")
    exported = desk.units("export", "--to", str(desk.folder / "out"), "--by", "Bea")
    assert (signed.code, exported.code) == (1, 1)
    assert "server reconcile" in signed.err
    assert "server reconcile" in exported.err
    with transaction(desk.database):
        epochs.reconcile(desk.database, "Pat", desk.now)
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0


def test_a_unit_that_is_claimed_cannot_be_signed_again(desk: Desk) -> None:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    desk.units("sign", "P1", "1", "--by", "Bea")
    desk.units("export", "--to", str(desk.folder / "out"), "--by", "Bea")
    claim = desk.rows("claims")[0]["claim"]
    said = desk.units("sign", "P1", "1", "--by", "Bea")
    assert said.code == 1
    assert claim in said.err


def test_today_is_in_the_zone_of_today(desk: Desk) -> None:
    desk.patient()
    desk.write("INSERT INTO patient_zone VALUES ('P1', '2026-05-01', 'Pacific/Guam')")
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    desk.set_clock(dt.datetime(2026, 3, 1, 17, tzinfo=dt.UTC))  # a Sunday in Los Angeles, Monday in Guam
    said = desk.units("sign", "P1", "1", "--by", "Bea")
    assert said.code == 1
    assert "earliest date of service is 2026-03-02, and it is 2026-03-01" in said.err


def test_a_signature_outlives_a_new_version_of_the_policy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.patient()
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    shipped = policies.shipped_policies()
    changed = []
    for each in shipped:
        if each.id.startswith("ncd-noridian"):
            changed.append(dataclasses.replace(each, effective_to=dt.date(2026, 3, 9)))
            changed.append(
                dataclasses.replace(
                    each, id="ncd-noridian 2026-03-10", effective_from=dt.date(2026, 3, 10), effective_to=None
                )
            )
        else:
            changed.append(each)
    monkeypatch.setattr(statements, "shipped_policies", lambda: tuple(changed))
    desk.set_clock(dt.datetime(2026, 3, 9, 17, tzinfo=dt.UTC))
    assert desk.units("sign", "P1", "1", "--by", "Bea").code == 0  # date of service 2 March
    desk.set_clock(dt.datetime(2026, 3, 10, 17, tzinfo=dt.UTC))
    said = desk.units("export", "--to", str(desk.folder / "out"), "--by", "Bea")
    assert said.code == 0, said.err
