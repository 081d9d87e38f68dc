"""Which limits hold, and what comparing with them says."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.reporting.limits import GOALS, Limits, beyond, in_force, inherited, interpret, numbers
from gateway.result import Quantity
from gateway.server.registry.importing import ImportRefusedError
from gateway.store import limits as stated
from tests.unit.alerts.scene import STATED, Scene
from tests.unit.server.stage import NOW


def quantity(text: str) -> Quantity:
    comparator = text[0] if text[0] in "<>" else None
    value = text.lstrip("<>")
    return Quantity.model_validate(
        {"text": text, "value": value if value.replace(".", "").isdigit() else None, "comparator": comparator}
    )


def limits(*values: str) -> Limits:
    target_low, target_high, critical_low, critical_high = map(Decimal, values)
    return Limits(target_low, target_high, critical_low, critical_high, "patient", "clinic")


USUAL = limits("2.0", "3.0", "1.5", "5.0")


@pytest.mark.parametrize(
    ("inr", "codes"),
    [
        ("1.4", ("LL",)),
        ("1.5", ("L",)),
        ("1.9", ("L",)),
        ("2.0", ("N",)),
        ("2.00", ("N",)),
        ("3.0", ("N",)),
        ("3.1", ("H",)),
        ("4.99", ("H",)),
        ("5.0", ("HH",)),
        (">8.0", ("HH", ">")),
        ("<0.8", ("LL", "<")),
        ("+INF", ()),
    ],
)
def test_codes(inr: str, codes: tuple[str, ...]) -> None:
    assert interpret(quantity(inr), USUAL) == codes


def test_nothing_is_said_without_limits_or_without_a_value() -> None:
    assert interpret(quantity("9.9"), None) == ()
    assert interpret(None, USUAL) == ()
    assert beyond(quantity("9.9"), None, None) is None
    assert beyond(None, Decimal(1), Decimal(5)) is None


def test_off_the_range_with_a_range_that_ends_inside_is_critical_all_the_same() -> None:
    assert interpret(quantity(">4.5"), USUAL) == ("HH", ">")
    assert beyond(quantity(">4.5"), None, Decimal(5)) is not None
    assert beyond(quantity(">4.5"), Decimal(1), None) is None
    assert beyond(quantity("+INF"), Decimal(1), Decimal(5)) == "cannot be read as a number"


inrs = st.decimals(Decimal("0.5"), Decimal("15"), places=2)
four = st.lists(inrs, min_size=4, max_size=4, unique=True).map(sorted)
RANK = {"LL": 0, "L": 1, "N": 2, "H": 3, "HH": 4}


@settings(max_examples=200, deadline=None)
@given(four, inrs, inrs)
def test_a_higher_value_is_never_called_lower(values: list[Decimal], one: Decimal, other: Decimal) -> None:
    held = limits(str(values[1]), str(values[2]), str(values[0]), str(values[3]))
    codes = [RANK[interpret(quantity(str(each)), held)[0]] for each in sorted([one, other])]
    assert codes == sorted(codes)


@settings(max_examples=200, deadline=None)
@given(four, inrs, st.sampled_from(["", "<", ">"]))
def test_what_is_flagged_critical_is_escalated(values: list[Decimal], inr: Decimal, comparator: str) -> None:
    held = limits(str(values[1]), str(values[2]), str(values[0]), str(values[3]))
    codes = interpret(quantity(f"{comparator}{inr}"), held)
    why = beyond(quantity(f"{comparator}{inr}"), held.critical_low, held.critical_high)
    assert len(codes) == (2 if comparator else 1)
    assert (why is not None) == (codes[0] in ("LL", "HH") or inr in (held.critical_low, held.critical_high))


@settings(max_examples=100, deadline=None)
@given(st.lists(inrs, min_size=4, max_size=4))
def test_four_numbers_stand_in_their_order_or_are_refused(values: list[Decimal]) -> None:
    low, target_low, target_high, high = values
    if low < target_low < target_high < high:
        assert limits(str(target_low), str(target_high), str(low), str(high)).critical_high == high
    else:
        with pytest.raises(ValueError, match="must lie"):
            limits(str(target_low), str(target_high), str(low), str(high))


# ---------------------------------------------------------------- inheritance


def row(of: str, of_id: str = "", since: str = "2026-02-01", **values: object) -> str:
    lines = [f'of = "{of}"', f"from = {since}"] + ([f'id = "{of_id}"'] if of_id else [])
    lines += [f'{name} = "{value}"' for name, value in values.items()]
    return "[[limits]]\n" + "\n".join(lines) + "\n"


def test_patient_before_provider_before_clinic_pair_by_pair(scene: Scene) -> None:
    found = inherited(scene.database, "pat", NOW)
    assert found == limits("2", "3", "1.5", "5")
    scene.register(row("provider", "clinic", target_low=2.5, target_high=3.5, critical_low=1.8, critical_high=4.5))
    assert inherited(scene.database, "pat", NOW) == Limits(
        Decimal(2), Decimal(3), Decimal("1.8"), Decimal("4.5"), "patient", "provider"
    )
    scene.register(row("patient", "pat", target_low="inherit", target_high="inherit"))
    assert numbers(scene.database, "pat", NOW).target == stated.Pair(Decimal("2.5"), Decimal("3.5"), "provider")


def test_there_is_no_default_and_without_a_stated_use_nothing_is_in_force(scene: Scene) -> None:
    from gateway.reporting.alerts.configuration import IntendedUse

    assert inherited(scene.database, "sam", NOW) is None
    assert numbers(scene.database, "sam", NOW).missing == ("target_low and target_high are not stated",)
    assert in_force(scene.database, STATED, "pat", NOW) == inherited(scene.database, "pat", NOW)
    assert in_force(scene.database, IntendedUse(), "pat", NOW) is None
    said = scene.typed("patients", "limits", "sam")
    assert "target     not stated" in said.out
    assert "suggested  targets in common use: 1.5-2.0" in said.out
    assert len(GOALS) == 7


def test_a_statement_holds_from_the_patients_own_day_and_earlier_ones_stay(scene: Scene) -> None:
    scene.register(row("patient", "pat", "2026-03-10", target_low=2.5, target_high=3.5))
    before = dt.datetime(2026, 3, 10, 6, 59, tzinfo=dt.UTC)  # 23:59 on the 9th in Los Angeles, in summer time
    after = dt.datetime(2026, 3, 10, 7, 1, tzinfo=dt.UTC)
    assert numbers(scene.database, "pat", before).target == stated.Pair(Decimal(2), Decimal(3), "patient")
    assert numbers(scene.database, "pat", after).target == stated.Pair(Decimal("2.5"), Decimal("3.5"), "patient")


def test_a_statement_is_superseded_and_never_overwritten(scene: Scene) -> None:
    scene.register(row("patient", "pat", "2026-01-01", target_low=2.5, target_high=3.5, stated_by="Dr. Bell"))
    scene.register(row("patient", "pat", "2026-01-01", target_low=2.5, target_high=3.5))
    rows = scene.rows("SELECT low, stated_by FROM limit_pair WHERE level = 'patient' ORDER BY id")
    assert [tuple(each) for each in rows] == [("2", "tester"), ("2.5", "Dr. Bell")]
    listed = scene.printed("registry", "list", "limits")
    assert [each["low"] for each in listed if each["level"] == "patient"] == ["2.5"]
    shown = scene.printed("registry", "show", "patients", "pat")
    assert [each["kind"] for each in shown].count("limits") == 1


def test_of_several_providers_the_strictest_critical_limits_hold_and_the_target_must_be_stated(
    scene: Scene,
) -> None:
    scene.register(
        row("patient", "pat", target_low="inherit", target_high="inherit")
        + row("provider", "clinic", target_low=2, target_high=3, critical_low=1.4, critical_high=4.5)
        + row("provider", "other", target_low=2.5, target_high=3.5, critical_low=1.6, critical_high=5.5)
        + '[[providers]]\nid = "other"\nname = "Other"\n'
        + '[[treatments]]\npatient = "pat"\nprovider = "other"\nprovider_patient_id = "X"\nfrom = 2026-02-01\n'
    )
    found = numbers(scene.database, "pat", NOW)
    assert found.critical == stated.Pair(Decimal("1.6"), Decimal("4.5"), "provider")
    assert found.target is None
    assert found.missing == ("target: the treating providers state different ranges; state one for the patient",)
    other = inherited(scene.database, "pat", NOW, "other")
    assert other is not None
    assert (other.target_low, other.critical_high) == (Decimal("2.5"), Decimal("5.5"))


# ---------------------------------------------------------------- import


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clinic,,2026-01-01,2.0,,,\n", ":2: target_low and target_high belong together; write both or neither"),
        ("clinic,,2026-01-01,,,,\n", ":2: states nothing; write a target range"),
        ("clinic,pat,2026-01-01,2,3,,\n", ":2: id stands beside clinic; leave it out"),
        ("patient,,2026-01-01,2,3,,\n", ":2: id is missing; write the id of the patient"),
        ("patient,nobody,2026-01-01,2,3,,\n", ":2: column id: names one of the patients that is not there: nobody"),
        ("ward,x,2026-01-01,2,3,,\n", ":2: column of:"),
        ("patient,pat,2026-01-01,2;5,3,,\n", ":2: column target_low: is no INR; write an INR like 2.0"),
        ("patient,pat,2026-01-01,0,3,,\n", ":2: column target_low: is no INR"),
        ("patient,pat,2026-13-01,2,3,,\n", ":2: column from:"),
        ("patient,pat,2026-01-01,inherit,3,,\n", ":2: target: inherit stands beside a number"),
        ("patient,pat,2026-01-01,3,2,,\n", ":2: target_low 3 must lie below target_high 2"),
        (
            "patient,pat,2026-01-01,1.5,2.5,,\n",
            ":2: critical_low 1.5 (clinic) must lie below target_low 1.5 (patient); correct one of them",
        ),
        (
            "clinic,,2026-01-01,,,1.5,2.9\n",
            ":2: critical_high 2.9 (clinic) must lie above target_high 3 (patient) for patient pat; correct one",
        ),
        ("patient,pat,2026-01-01,2,3,,\n" * 2, ":3: the same one stands at limits.csv:2 already"),
    ],
)
def test_what_is_wrong_with_a_row_of_limits_is_said_with_its_place(scene: Scene, text: str, expected: str) -> None:
    header = "of,id,from,target_low,target_high,critical_low,critical_high\n"
    assert expected in refused(scene, "limits.csv", header + text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clinic,,2026-01-01,Ada,1,Mon-Fri 8-17,America/Denver,,2\n", "column hours: has not the form of Mon-Fri"),
        ("clinic,,2026-01-01,Ada,1,Fri-Mon 08:00-17:00,America/Denver,,2\n", "column hours: ends before it begins"),
        ("clinic,,2026-01-01,Ada,1,Mon-Fri 08:00-25:00,America/Denver,,2\n", "column hours: names an hour"),
        ("clinic,,2026-01-01,Ada,1,Mon-Fri 08:00-17:00,,,2\n", ":2: hours and zone belong together"),
        ("clinic,,2026-01-01,Ada,1,Mon-Fri 08:00-17:00,America/Denver,,\n", ":2: after_hours_number is missing"),
        ("provider,x,2026-01-01,Ada,1,,,,\n", ":2: column id: names one of the providers that is not there: x"),
        ("clinic,,2026-01-01,Ada,,,,,\n", ":2: column number: is missing"),
    ],
)
def test_what_is_wrong_with_a_contact_is_said_with_its_place(scene: Scene, text: str, expected: str) -> None:
    header = "of,id,from,person,number,hours,zone,after_hours_person,after_hours_number\n"
    assert expected in refused(scene, "contacts.csv", header + text)


def refused(scene: Scene, name: str, text: str) -> str:
    from gateway.server.registry.importing import import_registry

    before = scene.count("limit_pair"), scene.count("contact")
    path: Path = scene.folder / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ImportRefusedError) as caught:
        import_registry(scene.database, [path], "tester", scene.now)
    assert (scene.count("limit_pair"), scene.count("contact")) == before
    return str(caught.value).replace(f"{scene.folder}/", "")
