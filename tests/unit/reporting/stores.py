"""A real store on disk with people and results, written row by row as the server would."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.clock import Clock, utc
from gateway.database import transaction
from gateway.result import RESULT_SCHEMA, DeviceTime, Kind, Meter, Quantity, Result
from gateway.store import decisions, epochs
from gateway.store.opening import Role, create_store, open_store

TAKEN = datetime(2026, 3, 14, 11, 28, tzinfo=UTC)
"""07:28 in New York, two days after the clocks went forward there."""
ZONE = "America/New_York"


def quantity(value: str | None, comparator: Any = None, text: str | None = None) -> Quantity:
    return Quantity(text=text or f"{comparator or ''}{value}", value=value, comparator=comparator)


def body(inr: Quantity | None = None, kind: Kind = Kind.PATIENT, **changes: Any) -> Result:
    fields: dict[str, Any] = {
        "schema": RESULT_SCHEMA,
        "kind": kind,
        "meter": Meter(vendor="ACME", serial="SN000123", model="HomeINR", firmware="1.2"),
        "device_time": DeviceTime(raw="20260314072800", local=datetime(2026, 3, 14, 7, 28)),
        "inr": inr or quantity("2.50"),
        "strip_lot": "564636",
    }
    return Result(**{**fields, **changes})


@dataclass
class Store:
    """A store file; `database` is a connection of the test's own, as the server has one."""

    path: Path
    role: Role = "rig"
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        create_store(self.path, self.role, self.clock.now())
        self.database = open_store(self.path)

    def close(self) -> None:
        self.database.close()

    def rows(self, statement: str, *arguments: object) -> list[sqlite3.Row]:
        return self.database.execute(statement, arguments).fetchall()

    def value(self, statement: str, *arguments: object) -> Any:
        return self.rows(statement, *arguments)[0][0]

    def write(self, statement: str, *arguments: object) -> int:
        with transaction(self.database):
            return self.database.execute(statement, arguments).lastrowid or 0

    def restored(self) -> None:
        """As `server restore` leaves it."""
        with transaction(self.database):
            epochs.begin(self.database, self.clock.now(), "restored")

    def reconcile(self) -> None:
        with transaction(self.database):
            assert epochs.reconcile(self.database, "Pat Clerk", self.clock.now())

    def provider(
        self,
        name: str,
        address: str,
        *,
        destination: str | None = None,
        channel: str = "hl7v2",
        zone: str = ZONE,
        **wanted: object,
    ) -> str:
        """A provider with one live destination, `<name>-hl7` unless named otherwise; `wanted`: further columns."""
        now = utc(self.clock.now())
        columns = {
            "id": destination or f"{name}-hl7",
            "provider_id": name,
            "channel": channel,
            "address": address,
            "application": "EHR^2.25.99^ISO",
            "facility": "CLINIC^2.25.98^ISO",
            "live": 1,
            "live_at": now,
            "updated_at": now,
            **wanted,
        }
        with transaction(self.database):
            self.database.execute(
                "INSERT OR IGNORE INTO provider (id, name, npi, zone, updated_at) VALUES (?, ?, ?, ?, ?)",
                (name, f"Clinic {name}", "1234567893", zone, now),
            )
            marks = ", ".join("?" for _ in columns)
            self.database.execute(
                f"INSERT INTO destination ({', '.join(columns)}) VALUES ({marks})", [*columns.values()]
            )
            self._decided("registry import")
        return str(columns["id"])

    def patient(self, name: str, *providers: str, since: datetime = TAKEN - timedelta(days=365)) -> str:
        """A patient treated by these providers, to whom they are MRN-<name>."""
        with transaction(self.database):
            self.database.execute(
                "INSERT INTO patient VALUES (?, 'Doe', 'Jane', '1948-03-18', 'F', ?)", (name, utc(since))
            )
            for provider in providers:
                self.treat(name, provider, since)
        return name

    def treat(self, patient: str, provider: str, since: datetime, until: datetime | None = None) -> None:
        self.database.execute(
            "INSERT INTO treatment (patient_id, provider_id, provider_patient_id, from_at, to_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (patient, provider, f"MRN-{patient}", utc(since), until and utc(until)),
        )
        self._decided("registry import")

    def results(self, patient: str, count: int, **changes: Any) -> list[int]:
        """Many results in one transaction, a day apart."""
        with transaction(self.database):
            return [
                self._result(patient, f"{patient}/{number}", TAKEN + timedelta(days=number), changes)
                for number in range(count)
            ]

    def result(self, patient: str, key: str = "k1", taken: datetime = TAKEN, **changes: Any) -> int:
        with transaction(self.database):
            return self._result(patient, key, taken, changes)

    def version(
        self, result: int, patient: str, status: str = "final", taken: datetime = TAKEN, **changes: Any
    ) -> int:
        with transaction(self.database):
            return self._version(result, patient, status, taken, changes)

    def quarantine(self, result: int, reason: str = "conflict") -> int:
        return self.write(
            "INSERT INTO quarantine (result_id, reason, detail, opened_at) VALUES (?, ?, '', ?)",
            result,
            reason,
            utc(self.clock.now()),
        )

    def release(self, entry: int, action: str = "released") -> None:
        with transaction(self.database):
            self.database.execute(
                "UPDATE quarantine SET closed_at = ?, closed_by = 'Pat Clerk', action = ? WHERE id = ?",
                (utc(self.clock.now()), action, entry),
            )
            self._decided("release")

    def _decided(self, act: str) -> None:
        """What the registry and the quarantine write with everything that a person does there."""
        decisions.record(self.database, self.clock.now(), "Pat Clerk", act, "test", "")

    def _result(self, patient: str, key: str, taken: datetime, changes: dict[str, Any]) -> int:
        kind = changes.get("kind", Kind.PATIENT)
        row = self.database.execute(
            "INSERT INTO result (key, recipe, meter_key, kind, created_at) VALUES (?, 1, 'acme/sn000123', ?, ?)",
            (key, kind.value, utc(self.clock.now())),
        )
        assert row.lastrowid is not None
        self._version(row.lastrowid, patient, "final", taken, changes)
        return row.lastrowid

    def _version(self, result: int, patient: str, status: str, taken: datetime, changes: dict[str, Any]) -> int:
        changes = dict(changes)
        origin, text = changes.pop("origin", "meter"), changes.pop("text", None)
        row = self.database.execute(
            "INSERT INTO version (result_id, version, status, body, origin, patient_id, taken_at, uncertainty_s,"
            " quality, zone, recorded_at, why) SELECT ?, COALESCE(MAX(version), 0) + 1, ?, ?, ?, ?, ?, 120.0,"
            " 'synchronised', ?, ?, 'test' FROM version WHERE result_id = ? RETURNING version",
            (
                result,
                status,
                text or body(**changes).model_dump_json(by_alias=True),
                origin,
                patient,
                utc(taken),
                ZONE,
                utc(self.clock.now()),
                result,
            ),
        ).fetchone()
        return int(row[0])
