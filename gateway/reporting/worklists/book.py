"""What the lists are made from: every statement, and the signatures and claims beside it."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from gateway.reporting.claims.record import unit_record
from gateway.reporting.claims.remittances import denial_of
from gateway.reporting.claims.signing import flags_of
from gateway.reporting.claims.tallied import Refused, Tallied, tallies_of
from gateway.reporting.documents.eligibility import disagreement
from gateway.reporting.documents.papers import Papers
from gateway.reporting.facts import Facts, every_facts, facts_of
from gateway.reporting.units import Unit
from gateway.reporting.units.model import Code
from gateway.store import claims as store
from gateway.store.opening import Role

__all__ = ["Book", "Denied", "Entry", "read_book"]


class Denied(NamedTuple):
    """A claim that the payer denied, and why."""

    claim_id: str
    code: str
    dos: dt.date
    file_by: dt.date
    cause: str
    codes: str
    posted_on: str


class Entry(NamedTuple):
    """One patient: a tally for each payer's period, or why there is none, and what stands beside them.

    Attributes:
        signed: flags and names of the signatures that no claim has used, by the digest of what they sign.
        denied: claims that wait for an answer to a denial.
        claims: reads all claims of the patient, for who wants them, inside the same transaction.
    """

    patient_id: str
    as_of: dt.date
    papers: Papers
    tallies: tuple[Tallied, ...]
    refused: tuple[Refused, ...]
    signed: Mapping[str, Sequence[tuple[frozenset[str], str]]]
    denied: tuple[Denied, ...]
    claims: Callable[[], Sequence[store.ClaimRow]]

    @property
    def current(self) -> Tallied | None:
        """The tally of the newest period."""
        return self.tallies[-1] if self.tallies else None

    @property
    def disagreement(self) -> str:
        """In what the payer's newest answer about eligibility and the record differ, in words, or nothing."""
        return disagreement(self.papers, [tallied.period for tallied in self.tallies], self.as_of)

    def signer(self, tallied: Tallied, unit: Unit) -> str:
        """Who signed exactly this unit with all its flags; empty when nobody did."""
        if not self.signed:
            return ""
        flags = set(flags_of(unit, self.as_of))
        found = self.signed.get(unit_record(tallied, unit).sha256, ())
        return next((by for accepted, by in found if flags <= accepted), "")


Book = Iterator[Entry]
"""Entries by patient, read one at a time."""


def read_book(
    database: sqlite3.Connection,
    day_for: Callable[[Facts], dt.date],
    role: Role,
    patient_id: str | None = None,
    service: Code = "G0249",
) -> Book:
    """Every patient, or one, tallied on `day_for` them. To be read inside one transaction.

    Args:
        database: the store.
        day_for: a patient's as-of date.
        role: of the store.
        patient_id: only this patient.
        service: whose side: G0249 the supplier's, G0250 the physician's.
    """
    found = every_facts(database) if patient_id is None else iter((facts_of(database, patient_id),))
    for facts in found:
        as_of = day_for(facts)
        made = list(tallies_of(facts, as_of, role, service))
        signed: dict[str, list[tuple[frozenset[str], str]]] = {}
        for each in store.unused_sign_offs(database, facts.patient_id):
            signed.setdefault(each.content_sha256, []).append((frozenset(each.flags.split()), each.by_name))
        yield Entry(
            facts.patient_id,
            as_of,
            facts.papers,
            tuple(each for each in made if isinstance(each, Tallied)),
            tuple(each for each in made if isinstance(each, Refused)),
            signed,
            _denied(database, facts),
            partial(store.claims, database, facts.patient_id),
        )


def _denied(database: sqlite3.Connection, facts: Facts) -> tuple[Denied, ...]:
    found = []
    for row in store.claims(database, facts.patient_id, state="denied"):
        last = denial_of(database, row.id)
        found.append(
            Denied(
                row.id,
                row.code,
                dt.date.fromisoformat(row.dos),
                dt.date.fromisoformat(row.file_by),
                last.cause if last else "",
                " ".join([f"{last.group_code}-{last.carc}", last.rarc]).strip() if last else "",
                last.posted_on if last else "",
            )
        )
    return tuple(found)
