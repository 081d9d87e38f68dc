"""Where each test of the meter's memory is, seen from outside: ledgers of both far ends, journal and store."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from gateway.cli.demo.stage import Stage
from gateway.database import StoreError
from gateway.store.opening import open_store
from gateway.store.overview import Listed, listed
from simulators import ledger

__all__ = ["Observation", "Remembered", "observe"]


@dataclass(frozen=True, slots=True)
class Remembered:
    """One test of the meter's memory, by the meter's own list.

    Attributes:
        ordinal: its place in the memory.
        kind: patient, control or error.
        shown: the time that the meter wrote, ``2026-03-10 07:28:05``.
        inr: as the meter displayed it; empty for an error.
        told: the meter was told that it is received.
        results: what the store holds of it; more than one would be a doubled test.
    """

    ordinal: int
    kind: str
    shown: str
    inr: str
    told: bool
    results: tuple[Listed, ...]

    @property
    def result(self) -> Listed | None:
        """Its result in the store."""
        return self.results[0] if self.results else None

    @property
    def evidence(self) -> str | None:
        """The highest evidence level of its reports."""
        return None if self.result is None else next((r.evidence for r in self.result.reports if r.evidence), None)


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything at one moment.

    Attributes:
        memory: the meter's tests.
        strange: results in the store that no test of the meter explains.
        copies: control id → how often it arrived at the provider's system.
        unexplained: control ids with more copies than the store has sendings of unknown outcome.
        receipts: readings for which the hub holds a receipt; `readings` in all.
    """

    memory: tuple[Remembered, ...]
    strange: tuple[Listed, ...]
    copies: Counter[str] = field(default_factory=Counter)
    unexplained: tuple[str, ...] = ()
    receipts: int = 0
    readings: int = 0

    @property
    def lost(self) -> tuple[Remembered, ...]:
        """Tests of which the meter was told that they are received, and that the store does not have."""
        return tuple(test for test in self.memory if test.told and not test.results)

    @property
    def doubled(self) -> tuple[Remembered, ...]:
        """Tests that the store has twice."""
        return tuple(test for test in self.memory if len(test.results) > 1)

    @property
    def altered(self) -> tuple[Remembered, ...]:
        """Tests whose INR does not stand in the store character by character as the meter displayed it."""
        return tuple(
            test
            for test in self.memory
            if test.kind == "patient" and any(result.version and result.inr != test.inr for result in test.results)
        )

    @property
    def settled(self) -> bool:
        """All told, all stored, all receipted, every patient's result delivered."""
        return self.receipts == self.readings > 0 and all(
            test.told and test.results and (test.kind != "patient" or test.evidence == "delivered")
            for test in self.memory
        )


def observe(stage: Stage) -> Observation:
    """Look at everything once. What is not there yet counts as empty."""
    lines = ledger.read(stage.meter_ledger) if stage.meter_ledger.exists() else []
    told = {ordinal for line in lines if line["event"] == "received" for ordinal in line["entries"]}
    with closing(open_store(stage.store)) as database:
        results = listed(database)
        sendings = _sendings(database)
    by_test: dict[tuple[str, str, str], list[Listed]] = {}
    for result in results:
        by_test.setdefault((result.kind, result.device_time, _plain(result.inr)), []).append(result)
    memory = []
    for line in lines:
        if line["event"] == "holds":
            shown = (line["shown"] or line["device_time"] or "").replace("T", " ")
            found = by_test.pop((line["kind"], shown, _plain(line["inr"])), [])
            inr = line["inr"] or ""
            memory.append(Remembered(line["entry"], line["kind"], shown, inr, line["entry"] in told, tuple(found)))
    copies = _copies(stage)
    receipts, readings = _receipts(stage)
    return Observation(
        tuple(memory),
        tuple(result for found in by_test.values() for result in found),
        copies,
        tuple(name for name, count in copies.items() if count > sendings.get(name, 0)),
        receipts,
        readings,
    )


def _plain(inr: str | None) -> str:
    """An INR as results are compared by: without trailing zeros, the comparator before it."""
    if not inr:
        return ""
    mark = inr[0] if inr[0] in "<>" else ""
    try:
        return f"{mark}{Decimal(inr.removeprefix(mark)).normalize():f}"
    except InvalidOperation:
        return inr


def _copies(stage: Stage) -> Counter[str]:
    lines = ledger.read(stage.provider_ledger) if stage.provider_ledger.exists() else []
    return Counter(line["control_id"] for line in lines if line["event"] == "message")


def _sendings(database: sqlite3.Connection) -> dict[str, int]:
    """Control id → how many copies the store can account for: one, and one for each sending of unknown outcome."""
    rows = database.execute(
        "SELECT control_id, 1 + (SELECT count(*) FROM attempt WHERE report_id = report.id"
        " AND coalesce(outcome, 'ambiguous') = 'ambiguous') FROM report"
    )
    return {row[0]: row[1] for row in rows}


def _receipts(stage: Stage) -> tuple[int, int]:
    from gateway.hub.overview import overview

    try:
        found = overview(stage.journal)
    except StoreError:  # the hub is just making it
        return 0, 0
    return found.readings - found.waiting, found.readings
