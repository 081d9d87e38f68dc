"""What a claim rested on when it was made. It is kept with the claim, so that it can be shown after later changes.

The claim itself says what was charged (`ClaimRecord`). This says from what that came: which version of each test,
which documents, which options of the policy, and every decision. Numbers of rows, not times, tell earlier from
later: a clock may be set back.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from typing import Final

from gateway.reporting.claims.record import Frozen
from gateway.reporting.claims.tallied import Tallied
from gateway.reporting.units import Policy, Statement, Step, Unit, tally_versions
from gateway.store import claims as store
from gateway.store import documents, proof

__all__ = ["KEPT_AS", "Basis", "basis_of", "kept_basis", "options_of", "options_sha256"]

KEPT_AS: Final = "rests on"
"""What the claim's history calls it."""
_NO_OPTIONS = frozenset({"id", "title", "effective_from", "effective_to"})


class Basis(Frozen):
    """What one claim rested on.

    Attributes:
        as_of: day of the tally.
        unit: number of the unit in the statement of that day, from 1.
        versions: of each test's result, the version that was claimed.
        last_document: the newest document then; every one of the patient's up to it was known.
        policy_sha256: digest of the options in force (`options_sha256`).
        trace: the decisions about its tests and the unit: subject, rule, finding, facts.
    """

    as_of: str
    unit: int
    versions: dict[str, int]
    last_document: int
    policy_sha256: str
    trace: tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...]

    def knew(self, document: documents.Document) -> bool:
        """Whether it held then."""
        later = document.superseded_by is None or document.superseded_by > self.last_document
        return document.id <= self.last_document and later and not document.voids

    def traced(self, statement: Statement) -> Statement:
        """A statement with the decisions of then in the place of its own."""
        steps = tuple(Step(*each) for each in self.trace)
        return dataclasses.replace(statement, trace=steps, units=(), pending=())


def basis_of(database: sqlite3.Connection, known: Tallied, unit: Unit) -> Basis:
    """What a claim of `unit`, which stands in the statement of `known`, rests on now."""
    number = known.statement.units.index(unit) + 1
    subjects = {*unit.tests, f"unit {number}"}
    made = tally_versions(*known.inputs, known.policies, known.statement.as_of, trace=True)
    versions = {}
    for test in unit.tests:
        found = proof.version(database, int(test), known.patient_id)
        if found is not None:
            versions[test] = found.version
    return Basis(
        as_of=known.statement.as_of.isoformat(),
        unit=number,
        versions=versions,
        last_document=documents.newest(database),
        policy_sha256=options_sha256(known.policy_of(unit)),
        trace=tuple(
            (step.subject, step.rule, step.finding, step.facts)
            for step in made.trace or ()
            if step.subject in subjects
        ),
    )


def kept_basis(database: sqlite3.Connection, claim: str) -> Basis | None:
    """What this claim rested on; None for a claim that is older than the keeping of it."""
    found = [row["detail"] for row in store.events(database, claim) if row["what"] == KEPT_AS]
    return Basis.read(found[0]) if found else None


def options_of(policy: Policy) -> dict[str, str | int | bool | None]:
    """The options in force, by name."""
    found = {
        each.name: getattr(policy, each.name) for each in dataclasses.fields(policy) if each.name not in _NO_OPTIONS
    }
    return {name: value for name, value in found.items() if value is None or isinstance(value, str | int)}


def options_sha256(policy: Policy) -> str:
    """Digest of the options."""
    return hashlib.sha256(json.dumps(options_of(policy), sort_keys=True).encode()).hexdigest()
