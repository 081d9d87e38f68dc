"""Worked cases: one case of a case file → the inputs of a tally; a statement → the ``expected`` object of the file.

The format is JSON: ``default_policy``, ``g0250_policy_overrides`` and ``cases``, each case with ``enrollment``,
``tests``, ``events``, ``claimed``, ``as_of``, ``expected`` and ``policy_variants``. A case's own policy overrides
the default, a variant's overrides both.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from gateway.reporting.units.calendar import Zones
from gateway.reporting.units.claims import check_claimed
from gateway.reporting.units.diagnoses import DiagnosisTable, coverage, icd10
from gateway.reporting.units.errors import BadValueError, DateOrderError, UnitsError, UnsignedOrderError
from gateway.reporting.units.fields import Fields
from gateway.reporting.units.model import (
    Category,
    ClaimedUnit,
    EarlyReason,
    Enrollment,
    Event,
    EventType,
    Kind,
    Order,
    Source,
    Statement,
    Test,
    Unit,
    ZoneChange,
)
from gateway.reporting.units.policy import CODES, Policy, with_options
from gateway.reporting.units.tally import tally

KINDS: Final[tuple[Kind, ...]] = ("patient", "control", "error", "clinic")
SOURCES: Final[tuple[Source, ...]] = ("device", "manual")
EVENT_TYPES: Final[tuple[EventType, ...]] = ("withdrawn", "death", "ma_transfer", "hold")
CATEGORIES: Final[tuple[Category, ...]] = (
    "travel",
    "personal",
    "holiday",
    "illness",
    "procedure_scheduled",
    "inadvertent",
    "repeat_abnormal",
    "provider_requested",
)


class Inputs(NamedTuple):
    """What a tally takes, under one policy."""

    enrollment: Enrollment
    tests: tuple[Test, ...]
    events: tuple[Event, ...]
    claimed: tuple[ClaimedUnit, ...]
    policy: Policy
    as_of: dt.date

    def tally(self, *, trace: bool = False) -> Statement:
        """The statement for these inputs."""
        return tally(*self, trace=trace)


class Evaluation(NamedTuple):
    """One case under its own policy, or under one of its variants.

    Attributes:
        case: the case's id.
        variant: the options of the variant, empty for the case itself.
        computed: the statement in the form of ``expected``.
        expected: as the file has it, or None.
        differences: where they disagree, one line each.
        unread: places of fields that nothing has read.
    """

    case: str
    variant: Mapping[str, object]
    computed: dict[str, object]
    expected: Mapping[str, object] | None
    differences: tuple[str, ...]
    unread: tuple[str, ...]


def evaluate(
    document: Mapping[str, object],
    diagnoses: DiagnosisTable,
    case_id: str | None = None,
    refused: list[UnitsError] | None = None,
) -> Iterator[Evaluation]:
    """Compute every case of a case file and each of its policy variants.

    Args:
        document: the file as read from JSON.
        diagnoses: the covered diagnoses.
        case_id: only this case.
        refused: where the refusal of a case is noted, so that the others are still computed. None: it is raised.

    Raises:
        UnitsError: a case was refused; the message names the case and the field.
    """
    fields = Fields(document)
    default = _options(fields, "default_policy")
    g0250 = _options(fields, "g0250_policy_overrides")
    found = False
    for entry in fields.objects("cases"):
        name = entry.text("id")
        if case_id is not None and name != case_id:
            continue
        found = True
        try:
            yield from _evaluate_case(entry.from_here(), name, default, g0250, diagnoses)
        except UnitsError as error:
            if refused is None:
                raise
            refused.append(error)
    if case_id is not None and not found:
        raise BadValueError("cases", f"no case is called {case_id!r}", "give an id of the file")


def parse_case(
    case: Mapping[str, object],
    diagnoses: DiagnosisTable,
    default: Mapping[str, object] | None = None,
    variant: Mapping[str, object] | None = None,
    g0250: Mapping[str, object] | None = None,
) -> Inputs:
    """The inputs of one case.

    Args:
        case: the case as read from JSON.
        diagnoses: the covered diagnoses.
        default: the file's ``default_policy``.
        variant: options of a policy variant.
        g0250: options that differ when the case's service is G0250.

    Raises:
        UnitsError: something in the case was refused; the message names the case and the field.
    """
    fields = Fields(case)
    name = fields.text("id")
    try:
        return _inputs(fields, diagnoses, default or {}, variant or {}, g0250 or {})
    except UnitsError as refused:
        raise refused.within(f"case {name}") from None


def expected_of(statement: Statement) -> dict[str, object]:
    """A statement in the form of a case's ``expected`` object."""
    following = statement.next_eligible
    return {
        "units": [_unit(unit) for unit in statement.units],
        "not_covered": [
            {
                "test": entry.test,
                "reason": entry.reason,
                "liability": entry.liability,
                "modifier_if_claimed": entry.modifier,
            }
            for entry in statement.not_covered
        ],
        "pending_count": len(statement.pending),
        "pending_tests": list(statement.pending),
        "next_eligible": {"test_from": _iso(following.test_from), "dos_from": _iso(following.dos_from)},
        "missed_weeks": [week.isoformat() for week in statement.missed_weeks],
    }


def differences(computed: object, expected: object, place: str = "") -> tuple[str, ...]:
    """Where two JSON values disagree, one line each; fields that `expected` does not give are not compared."""
    if isinstance(expected, Mapping) and isinstance(computed, Mapping):
        found: list[str] = []
        for key, value in expected.items():
            inner = f"{place}.{key}" if place else str(key)
            found += differences(computed[key], value, inner) if key in computed else [f"{inner}: not computed"]
        return tuple(found)
    if isinstance(expected, list) and isinstance(computed, list) and len(expected) == len(computed):
        return tuple(
            line
            for at, pair in enumerate(zip(computed, expected, strict=True))
            for line in differences(*pair, f"{place}[{at}]")
        )
    return () if computed == expected else (f"{place}: computed {computed!r}, expected {expected!r}",)


def _evaluate_case(
    entry: Fields,
    name: str,
    default: Mapping[str, object],
    g0250: Mapping[str, object],
    diagnoses: DiagnosisTable,
) -> Iterator[Evaluation]:
    try:
        variants: list[tuple[Mapping[str, object], object]] = [({}, entry.get("expected"))]
        for variant in entry.objects("policy_variants"):
            variants.append((_options(variant, "policy"), variant.get("expected")))
        for options, expected in variants:
            inputs = _inputs(entry, diagnoses, default, options, g0250)
            computed = expected_of(inputs.tally())
            known = expected if isinstance(expected, Mapping) else None
            for described in ("id", "title", "rule_refs", "note"):
                entry.get(described)
            yield Evaluation(
                name,
                options,
                computed,
                known,
                differences(computed, known) if known is not None else (),
                entry.unread(),
            )
    except UnitsError as refused:
        raise refused.within(f"case {name}") from None


def _inputs(
    fields: Fields,
    diagnoses: DiagnosisTable,
    default: Mapping[str, object],
    variant: Mapping[str, object],
    g0250: Mapping[str, object],
) -> Inputs:
    service = fields.choice("service", CODES, "G0249")
    enrolled = fields.optional_object("enrollment")
    if enrolled is None:
        raise BadValueError("enrollment", "is missing", "give the enrollment of the patient")
    layers = {
        "default_policy": default,
        "g0250_policy_overrides": g0250 if service == "G0250" else {},
        "enrollment.policy": _options(enrolled, "policy"),
        "policy_variants.policy": variant,
    }
    options = {name: value for layer in layers.values() for name, value in layer.items()}
    try:
        policy = with_options(Policy(id="case", diagnoses=diagnoses, service=service), options)
    except UnitsError as refused:
        told = [place for place, layer in layers.items() if refused.field in layer]
        raise refused.within("", f"{told[-1]}." if told else "") from None
    enrollment = _enrollment(enrolled, policy)
    tests = tuple(_test(entry) for entry in fields.objects("tests"))
    claimed = tuple(_claimed(entry) for entry in fields.objects("claimed"))
    check_claimed(claimed, tests)
    return Inputs(
        enrollment=enrollment,
        tests=tests,
        events=tuple(
            Event(entry.choice("type", EVENT_TYPES), entry.date("date")) for entry in fields.objects("events")
        ),
        claimed=claimed,
        policy=policy,
        as_of=fields.date("as_of"),
    )


def _enrollment(fields: Fields, policy: Policy) -> Enrollment:
    enrollment = Enrollment(
        tz=fields.text("tz"),
        payer=fields.text("payer"),
        diagnosis=tuple(
            icd10(code, f"{fields.place('diagnosis')}[{at}]") for at, code in enumerate(fields.texts("diagnosis"))
        ),
        valve_type=fields.optional_text("valve_type"),
        anticoagulant=fields.optional_text("anticoagulant"),
        warfarin_start=fields.optional_date("warfarin_start"),
        training_date=fields.optional_date("training_date"),
        training_documented=fields.flag("training_documented", default=False),
        orders=tuple(_order(entry) for entry in fields.objects("orders")),
        tz_history=tuple(
            ZoneChange(entry.date("from"), entry.text("tz")) for entry in fields.objects("tz_history")
        ),
        covered_from=fields.optional_date("covered_from"),
        mac=fields.optional_text("mac"),
    )
    try:
        Zones(enrollment.tz, enrollment.tz_history)
        coverage(
            policy.diagnoses,
            enrollment.diagnosis,
            enrollment.valve_type,
            include_unspecified_af=False,
            count_porcine=True,
        )
    except UnitsError as refused:
        raise refused.within("", "enrollment.") from None
    return enrollment


def _order(fields: Fields) -> Order:
    if fields.get("signed_on") in (None, ""):
        raise UnsignedOrderError(
            fields.place("signed_on"), "the order is not signed", "give the date of the practitioner's signature"
        )
    order = Order(
        fields.date("signed_on"),
        fields.optional_date("expires_on"),
        fields.optional_number("interval_days", minimum=1),
    )
    if order.expires_on is not None and order.expires_on < order.signed_on:
        raise DateOrderError(
            fields.place("expires_on"),
            f"{order.expires_on} lies before the signature on {order.signed_on}",
            "correct one of the dates",
        )
    return order


def _test(fields: Fields) -> Test:
    reason = fields.optional_object("reason_early")
    extra = fields.optional_object("extra_order")
    abn = fields.optional_object("abn")
    for described in ("void_reason", "reviewed_by"):
        fields.get(described)
    return Test(
        id=fields.text("id"),
        kind=fields.choice("kind", KINDS),
        source=fields.choice("source", SOURCES),
        taken_at=fields.moment("taken_at"),
        reported_at=fields.optional_moment("reported_at"),
        acknowledged_at=fields.optional_moment("acknowledged_at"),
        reviewed_at=fields.optional_moment("reviewed_at"),
        inr=fields.decimal("inr"),
        inr_text=fields.optional_text("inr_text"),
        device_serial=fields.optional_text("device_serial"),
        device_seq=fields.optional_number("device_seq"),
        attested=fields.flag("attested", default=False),
        corrects=fields.optional_text("corrects"),
        voided=fields.flag("voided", default=False),
        reason_early=None if reason is None else _reason(reason),
        extra_order_signed_on=None if extra is None else extra.optional_date("signed_on"),
        abn_signed_at=None if abn is None else abn.optional_moment("signed_at"),
    )


def _reason(fields: Fields) -> EarlyReason:
    moved = fields.get("weekly_test_moved")
    return EarlyReason(
        category=fields.choice("category", CATEGORIES),
        text=fields.optional_text("text") or "",
        documented_at=fields.optional_moment("documented_at"),
        documented_by=fields.optional_text("documented_by") or "",
        weekly_test_moved=None if moved is None else fields.flag("weekly_test_moved", default=False),
    )


def _claimed(fields: Fields) -> ClaimedUnit:
    return ClaimedUnit(
        tests=fields.texts("tests"),
        dos=fields.date("dos"),
        code=fields.choice("code", CODES),
        modifiers=fields.texts("modifiers"),
    )


def _options(fields: Fields, key: str) -> Mapping[str, object]:
    value = fields.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadValueError(fields.place(key), "expected named options", "give an object")
    return value


def _unit(unit: Unit) -> dict[str, object]:
    return {
        "tests": list(unit.tests),
        "first_test": unit.first_test.isoformat(),
        "last_test": unit.last_test.isoformat(),
        "billable_from": unit.billable_from.isoformat(),
        "code": unit.code,
        "modifiers": list(unit.modifiers),
        "fraction": unit.fraction,
        "status": unit.status,
        "review_flags": list(unit.review_flags),
        "file_by": unit.file_by.isoformat(),
    }


def _iso(day: dt.date | None) -> str | None:
    return None if day is None else day.isoformat()
