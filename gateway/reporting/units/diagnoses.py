"""Which diagnoses are covered on which day (rule R26).

The table is data, effective-dated, and built from a mapping that the caller has read. Covered are a mechanical
heart valve, chronic atrial fibrillation and venous thromboembolism (NCD 190.11); Z79.01 alone never is. A porcine
valve alone is not covered; beside another covered diagnosis the policy decides.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from gateway.reporting.units.errors import BadCodeError, BadValueError, DateOrderError
from gateway.reporting.units.fields import Fields

Verdict = Literal["covered", "covered_with_porcine_valve", "not_covered"]
Group = Literal["valve", "af", "vte"]
GROUPS: tuple[Group, ...] = ("valve", "af", "vte")
UNSPECIFIED_AF = "dx_unspecified_af"
MECHANICAL = "mechanical"

_ICD10 = re.compile(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?")


class Row(NamedTuple):
    """One code, or all codes that begin with it, covered from `first` to `last` (ordinals, both inclusive).

    Attributes:
        needs_mechanical: covers only with a documented mechanical valve.
        switch: the policy option that must say ``include``, or empty.
        source: where the row comes from and how far it is confirmed.
    """

    code: str
    is_prefix: bool
    group: Group
    first: int
    last: int
    needs_mechanical: bool
    switch: str
    source: str

    def matches(self, code: str) -> bool:
        """Whether the row speaks of `code`."""
        return code.startswith(self.code) if self.is_prefix else code == self.code


@dataclass(frozen=True, slots=True, eq=False)
class DiagnosisTable:
    """An effective-dated table of covered diagnoses.

    Attributes:
        id: name and version of the table, kept with what was computed from it.
        rows: in the order of the file.
        porcine_codes: codes that say the valve is of animal tissue.
        porcine_valve_types: values of `Enrollment.valve_type` that say so.
        valve_types: all values of `Enrollment.valve_type` that are understood.
    """

    id: str
    rows: tuple[Row, ...]
    porcine_codes: tuple[str, ...]
    porcine_valve_types: tuple[str, ...]
    valve_types: tuple[str, ...]


class Coverage(NamedTuple):
    """What a patient's diagnoses are worth over time.

    Attributes:
        spans: code, first and last day (ordinals) of every covered span.
        porcine: whether a porcine valve stands beside them.
    """

    spans: tuple[tuple[str, int, int], ...]
    porcine: bool

    def codes_on(self, day: int) -> tuple[str, ...]:
        """The covered codes on `day`."""
        return tuple(code for code, first, last in self.spans if first <= day <= last)

    def verdict(self, day: int) -> Verdict:
        """Whether the patient's diagnoses cover `day`."""
        for _, first, last in self.spans:
            if first <= day <= last:
                return "covered_with_porcine_valve" if self.porcine else "covered"
        return "not_covered"


def diagnosis_table(mapping: Mapping[str, object]) -> DiagnosisTable:
    """Build the table from a mapping as read from TOML.

    Raises:
        BadValueError: a field is missing or cannot be read.
        BadCodeError: a code that is no ICD-10-CM code, or an unknown group.
        DateOrderError: a row that ends before it begins.
    """
    fields = Fields(mapping)
    rows: list[Row] = []
    for entry in fields.objects("covers"):
        group = entry.choice("group", GROUPS)
        first = entry.date("from")
        last = entry.optional_date("to") or dt.date.max
        if last < first:
            raise DateOrderError(entry.place("to"), f"{last} lies before {first}", "correct one of the dates")
        needs_mechanical = entry.flag("needs_mechanical", default=False)
        switch = entry.optional_text("switch") or ""
        if switch not in ("", UNSPECIFIED_AF):
            raise BadCodeError(
                entry.place("switch"), f"unknown switch {switch!r}", f"use {UNSPECIFIED_AF!r} or leave it out"
            )
        source = entry.text("source")
        for key, is_prefix in (("codes", False), ("prefixes", True)):
            for at, text in enumerate(entry.texts(key)):
                code = text.strip().upper() if is_prefix else icd10(text, f"{entry.place(key)}[{at}]")
                rows.append(
                    Row(
                        code,
                        is_prefix,
                        group,
                        first.toordinal(),
                        last.toordinal(),
                        needs_mechanical,
                        switch,
                        source,
                    )
                )
    valve_types = fields.texts("valve_types")
    porcine_types = fields.texts("porcine_valve_types")
    if MECHANICAL not in valve_types or not set(porcine_types) <= set(valve_types):
        raise BadValueError("valve_types", "must name 'mechanical' and every porcine type", "complete the list")
    return DiagnosisTable(
        id=fields.text("id"),
        rows=tuple(rows),
        porcine_codes=tuple(icd10(code, "porcine_codes") for code in fields.texts("porcine_codes")),
        porcine_valve_types=porcine_types,
        valve_types=valve_types,
    )


def icd10(text: str, place: str) -> str:
    """`text` as an ICD-10-CM code in its usual form (``I48.20``), also when it was written without the point.

    Raises:
        BadCodeError: it has not the form of such a code; `place` says where it stood.
    """
    code = text.strip().upper()
    if "." not in code and len(code) > 3:
        code = f"{code[:3]}.{code[3:]}"
    if not _ICD10.fullmatch(code):
        raise BadCodeError(place, f"{text!r} is no ICD-10-CM code", "give a code such as I48.20")
    return code


@lru_cache(maxsize=4096)
def coverage(
    table: DiagnosisTable,
    diagnosis: tuple[str, ...],
    valve_type: str | None,
    *,
    known_from: tuple[tuple[str, dt.date], ...] = (),
    include_unspecified_af: bool,
    count_porcine: bool,
) -> Coverage:
    """What these diagnoses are worth over time. The result is kept: many patients share it.

    Args:
        table: the covered diagnoses.
        diagnosis: the patient's codes.
        valve_type: as documented, or None.
        known_from: codes that hold only from a day on.
        include_unspecified_af: whether I48.91 counts.
        count_porcine: whether a porcine valve beside another covered diagnosis counts.

    Raises:
        BadCodeError: a malformed diagnosis, or a valve type the table does not know.
    """
    if valve_type is not None and valve_type not in table.valve_types:
        raise BadCodeError(
            "valve_type", f"unknown code {valve_type!r}", f"use one of: {', '.join(table.valve_types)}"
        )
    codes = [icd10(code, f"diagnosis[{at}]") for at, code in enumerate(diagnosis)]
    mechanical = valve_type == MECHANICAL
    porcine = valve_type in table.porcine_valve_types or any(code in table.porcine_codes for code in codes)
    spans: list[tuple[str, int, int]] = []
    for code in codes:
        for row in table.rows:
            if not row.matches(code) or (row.switch and not include_unspecified_af):
                continue
            if row.needs_mechanical and not mechanical:
                continue
            # A valve code beside a porcine valve speaks of that valve unless a mechanical one is documented.
            if row.group == "valve" and porcine and not mechanical:
                continue
            spans.append((code, row.first, row.last))
    if porcine and not count_porcine:
        spans = []
    since = {icd10(code, f"known_from[{at}]"): day.toordinal() for at, (code, day) in enumerate(known_from)}
    spans = [(code, max(first, since.get(code, first)), last) for code, first, last in spans]
    return Coverage(tuple(spans), porcine)
