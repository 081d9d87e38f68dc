"""A policy: which of the possible readings of the rules holds for a payer, from when to when, and on whose word.

Policies are data. A policy file is read by the caller and handed over as a mapping; nothing here opens a file.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal, NamedTuple

from gateway.reporting.units.calendar import zone
from gateway.reporting.units.diagnoses import DiagnosisTable
from gateway.reporting.units.errors import BadCodeError, BadValueError, DateOrderError, NoPolicyError, UnitsError
from gateway.reporting.units.fields import Fields
from gateway.reporting.units.model import Code

WeekBasis = Literal["calendar_sun_sat", "rolling7"]
EarlyRule = Literal["fill_missed_next_week", "never", "literal_any4"]
Evidence = Literal["provider_ack", "transmitted"]
ManualEntry = Literal["count_if_attested", "exclude", "count"]
AckAfterEnd = Literal["exclude", "count_clamp"]
WarfarinMonths = Literal["calendar_months", "days90"]
Include = Literal["exclude", "include"]
Porcine = Literal["count_with_review", "exclude"]
ZoneBasis = Literal["patient", "supplier"]
DosBasis = Literal["fourth_report"]
Abn = Literal["accepted", "not_accepted"]

CODES: tuple[Code, ...] = ("G0249", "G0250")


class RuleSource(NamedTuple):
    """On whose word a rule holds.

    Attributes:
        rule: number of the rule, for example ``R2``.
        source: publication and paragraph.
        weight: ``regulation``, ``national``, ``contractor``, ``plan``, ``house`` or ``unconfirmed``.
        jurisdiction: where it binds; empty means everywhere.
        effective_from: first date of service it speaks of, where the source gives one.
        note: what is unverified or contradicted.
    """

    rule: str
    source: str
    weight: str
    jurisdiction: str = ""
    effective_from: dt.date | None = None
    effective_to: dt.date | None = None
    note: str = ""


WEIGHTS = ("regulation", "national", "contractor", "plan", "house", "unconfirmed")


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """The options in force. The defaults are the conservative readings of the house.

    Attributes:
        id: name and version, kept with every statement.
        diagnoses: the table of covered diagnoses.
        service: what is tallied; G0250 uses the physician's review as evidence and knows no partial unit.
        week_basis: calendar weeks from Sunday to Saturday, or at least seven days between counted tests (R2, R2b).
        early_rule: what a documented second test of a week counts as (R8, R9).
        report_evidence: what proves that a result was reported (R4).
        min_days_first_test_to_dos: days from the first test to the earliest date of service (R14); 0: last report.
        min_days_between_dos: days between two units' dates of service (R15); 0: off.
        manual_entry: whether values entered by hand count (R21).
        count_training_day: whether the sample of the training day counts (R27).
        ack_after_end: results received after the last covered day (R25).
        warfarin_3_months: how three months are counted (R28).
        dx_unspecified_af: whether I48.91 is covered (R26).
        porcine_with_other_indication: a porcine valve beside another covered diagnosis (R26).
        late_report_limit_days: evidence later than this after the test does not count (R18); None: no limit.
        order_valid_months: how long an order without an expiry holds (R29); None: without limit.
        zone_basis: whose zone makes local dates (R5); `supplier_tz` is the supplier's.
        dos_basis: what the date of service is taken from (R14); only the fourth report is supported.
        abn: whether an advance notice (ABN) can make an ordered extra test the patient's to pay (R12): plans that
            take the place of Original Medicare decide before the service instead.
        payers: payer ids it is for; `macs` the contractors, empty for all.
        sources: on whose word each rule holds.
        g0250: options that differ when the service is G0250.
    """

    id: str
    diagnoses: DiagnosisTable
    service: Code = "G0249"
    week_basis: WeekBasis = "calendar_sun_sat"
    early_rule: EarlyRule = "fill_missed_next_week"
    report_evidence: Evidence = "provider_ack"
    min_days_first_test_to_dos: int = 28
    min_days_between_dos: int = 28
    manual_entry: ManualEntry = "count_if_attested"
    count_training_day: bool = False
    ack_after_end: AckAfterEnd = "exclude"
    warfarin_3_months: WarfarinMonths = "calendar_months"
    dx_unspecified_af: Include = "exclude"
    porcine_with_other_indication: Porcine = "count_with_review"
    late_report_limit_days: int | None = None
    order_valid_months: int | None = None
    zone_basis: ZoneBasis = "patient"
    supplier_tz: str | None = None
    dos_basis: DosBasis = "fourth_report"
    abn: Abn = "accepted"
    title: str = ""
    payers: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    effective_from: dt.date = dt.date.min
    effective_to: dt.date | None = None
    sources: tuple[RuleSource, ...] = ()
    g0250: Mapping[str, object] = field(default_factory=dict)

    def in_force(self, on: dt.date) -> bool:
        """Whether it speaks of dates of service on `on`."""
        return self.effective_from <= on and (self.effective_to is None or on <= self.effective_to)

    def for_service(self, service: Code) -> Policy:
        """The same policy for `service`, with the options that differ for G0250."""
        if service == self.service:
            return self
        changed = replace(self, service=service)
        return with_options(changed, self.g0250) if service == "G0250" else changed

    def source_of(self, rule: str) -> RuleSource | None:
        """On whose word `rule` holds, or None where the policy does not say."""
        return next((entry for entry in self.sources if entry.rule == rule), None)


def with_options(policy: Policy, options: Mapping[str, object]) -> Policy:
    """`policy` with some options changed.

    Raises:
        BadCodeError: an option nobody knows, or an unknown value.
        BadValueError: a value of the wrong type.
    """
    if not options:
        return policy
    fields = Fields(options)
    changed = replace(
        policy,
        week_basis=fields.choice("week_basis", ("calendar_sun_sat", "rolling7"), policy.week_basis),
        early_rule=fields.choice(
            "early_rule", ("fill_missed_next_week", "never", "literal_any4"), policy.early_rule
        ),
        report_evidence=fields.choice("report_evidence", ("provider_ack", "transmitted"), policy.report_evidence),
        min_days_first_test_to_dos=fields.number(
            "min_days_first_test_to_dos", default=policy.min_days_first_test_to_dos
        ),
        min_days_between_dos=fields.number("min_days_between_dos", default=policy.min_days_between_dos),
        manual_entry=fields.choice("manual_entry", ("count_if_attested", "exclude", "count"), policy.manual_entry),
        count_training_day=fields.flag("count_training_day", default=policy.count_training_day),
        ack_after_end=fields.choice("ack_after_end", ("exclude", "count_clamp"), policy.ack_after_end),
        warfarin_3_months=fields.choice(
            "warfarin_3_months", ("calendar_months", "days90"), policy.warfarin_3_months
        ),
        dx_unspecified_af=fields.choice("dx_unspecified_af", ("exclude", "include"), policy.dx_unspecified_af),
        porcine_with_other_indication=fields.choice(
            "porcine_with_other_indication", ("count_with_review", "exclude"), policy.porcine_with_other_indication
        ),
        late_report_limit_days=_or(fields.optional_number("late_report_limit_days"), policy.late_report_limit_days),
        order_valid_months=_or(fields.optional_number("order_valid_months", minimum=1), policy.order_valid_months),
        zone_basis=fields.choice("zone_basis", ("patient", "supplier"), policy.zone_basis),
        supplier_tz=fields.optional_text("supplier_tz") or policy.supplier_tz,
        dos_basis=fields.choice("dos_basis", ("fourth_report",), policy.dos_basis),
        abn=fields.choice("abn", ("accepted", "not_accepted"), policy.abn),
    )
    unread = fields.unread()
    if unread:
        raise BadCodeError(
            unread[0], "no such option", "correct its name: an option that is not understood decides nothing"
        )
    if changed.zone_basis == "supplier":
        if changed.supplier_tz is None:
            raise BadValueError(
                "supplier_tz", "is missing", "name the supplier's zone where zone_basis is 'supplier'"
            )
        zone(changed.supplier_tz, "supplier_tz")
    return changed


def policies(mapping: Mapping[str, object], tables: Mapping[str, DiagnosisTable]) -> tuple[Policy, ...]:
    """The versions of one policy file.

    Args:
        mapping: the file as read from TOML.
        tables: diagnosis tables by id.

    Raises:
        UnitsError: a field is missing, unreadable or unknown; the message names the policy and the place.
    """
    fields = Fields(mapping)
    name = fields.text("id")
    try:
        title = fields.text("title")
        payers = fields.texts("payers")
        macs = fields.texts("macs")
        versions = [_version(entry, name, title, payers, macs, tables) for entry in fields.objects("version")]
    except UnitsError as refused:
        raise refused.within(f"policy {name}") from None
    versions.sort(key=lambda policy: policy.effective_from)
    for earlier, later in pairwise(versions):
        if earlier.effective_to is None or earlier.effective_to >= later.effective_from:
            raise DateOrderError(
                "version", f"{earlier.id} and {later.id} overlap", "end each version before the next", subject=name
            )
    if not versions or not payers:
        raise BadValueError(
            "version" if payers else "payers", "is empty", "name at least one", subject=f"policy {name}"
        )
    return tuple(versions)


def choose(book: Iterable[Policy], payer: str, on: dt.date, mac: str | None = None) -> Policy:
    """The policy for a payer on a date of service.

    A policy that names the contractor goes before one that holds for all of them.

    Raises:
        NoPolicyError: there is none, or more than one of equal rank.
    """
    found = standing(book, payer, on, mac)
    if len(found) == 1:
        return found[0]
    problem = "no policy is" if not found else f"{', '.join(policy.id for policy in found)} are all"
    raise NoPolicyError(
        f"payer {payer!r}, contractor {mac!r}",
        f"{problem} in force on {on}",
        "add a policy file, or correct its payers and dates",
    )


def standing(book: Iterable[Policy], payer: str, on: dt.date, mac: str | None = None) -> list[Policy]:
    """The policies that speak of a payer's dates of service on a day; those that name the contractor go first."""
    found = [
        policy
        for policy in book
        if payer in policy.payers and policy.in_force(on) and (not policy.macs or mac in policy.macs)
    ]
    return [policy for policy in found if policy.macs] or found


def _version(
    entry: Fields,
    name: str,
    title: str,
    payers: tuple[str, ...],
    macs: tuple[str, ...],
    tables: Mapping[str, DiagnosisTable],
) -> Policy:
    table = entry.text("diagnoses")
    if table not in tables:
        raise BadCodeError(
            entry.place("diagnoses"), f"no diagnosis table {table!r}", f"use one of: {', '.join(tables)}"
        )
    first, last = entry.date("effective_from"), entry.optional_date("effective_to")
    if last is not None and last < first:
        raise DateOrderError(entry.place("effective_to"), f"{last} lies before {first}", "correct one of the dates")
    raw_options, g0250 = entry.get("options") or {}, entry.get("g0250") or {}
    if not isinstance(raw_options, Mapping) or not isinstance(g0250, Mapping):
        raise BadValueError(entry.place("options"), "expected named options", "write a table of options")
    policy = Policy(
        id=f"{name} {entry.text('version')}",
        diagnoses=tables[table],
        title=title,
        payers=payers,
        macs=macs,
        effective_from=first,
        effective_to=last,
        sources=tuple(_source(rule) for rule in entry.objects("rule")),
        g0250=dict(g0250),
    )
    try:
        policy = with_options(policy, raw_options)
        policy.for_service("G0250")
    except UnitsError as refused:
        raise refused.within(refused.subject, f"{entry.place('options')}.") from None
    entry.get("note")
    if entry.unread():
        raise BadCodeError(entry.unread()[0], "no such field", "correct its name")
    return policy


def _source(rule: Fields) -> RuleSource:
    return RuleSource(
        rule=rule.text("id"),
        source=rule.text("source"),
        weight=rule.choice("weight", WEIGHTS),
        jurisdiction=rule.optional_text("jurisdiction") or "",
        effective_from=rule.optional_date("effective_from"),
        effective_to=rule.optional_date("effective_to"),
        note=rule.optional_text("note") or "",
    )


def _or(value: int | None, otherwise: int | None) -> int | None:
    return otherwise if value is None else value
