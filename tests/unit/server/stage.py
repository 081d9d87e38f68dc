"""A real store with people in it, and readings as a hub would send them."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from gateway.mqtt import topics
from gateway.result import DeviceTime, Kind, Meter, Quantity, Result
from gateway.server.configuration import Safety
from gateway.server.ingest import Message, Taken, ingest
from gateway.server.registry.importing import import_registry
from gateway.server.release import Choice, release
from gateway.store import quarantine
from gateway.store.opening import Role, create_store, open_store
from gateway.store.quarantine import Entry
from gateway.wire import reading as wire

NOW = datetime(2026, 3, 14, 18, 0, tzinfo=UTC)
JOURNAL = UUID("6a1f9a52-3d0c-4d6e-9a53-0c3f6f7b1a01")
OTHER_JOURNAL = UUID("6a1f9a52-3d0c-4d6e-9a53-0c3f6f7b1a02")
METER = Meter(vendor="ACME", serial="SN000123", model="HomeINR", firmware="1.2")
LIMITS = Safety(low=Decimal("1.5"), high=Decimal("5"))

REGISTRY = """
[[providers]]
id = "clinic"
name = "Clinic"

[[patients]]
id = "pat"
family_name = "Secretname"
given_name = "Pat"
birth_date = 1950-01-01
sex = "F"

[[patients]]
id = "sam"
family_name = "Otherman"
given_name = "Sam"
birth_date = 1950-01-02
sex = "M"

[[zones]]
patient = "pat"
from_date = 2020-01-01
zone = "America/Los_Angeles"

[[zones]]
patient = "sam"
from_date = 2020-01-01
zone = "America/New_York"

[[hubs]]
id = "home-1"
kind = "home"

[[hubs]]
id = "home-2"
kind = "home"

[[hubs]]
id = "rig-1"
kind = "rig"

[[meters]]
vendor = "ACME"
serial = "SN000123"

[[assignments]]
vendor = "ACME"
serial = "SN000123"
patient = "pat"
from = 2026-01-01
"""


def local(text: str) -> datetime:
    """A naive device time."""
    return datetime.fromisoformat(text)


def result(
    time: str | None = "2026-03-14T07:28:00", inr: str = "2.5", kind: Kind = Kind.PATIENT, **changes: Any
) -> Result:
    """A result as the simulated meter's would be; ``inr`` may begin with a comparator."""
    comparator: Any = inr[0] if inr[:1] in ("<", ">") else None
    value = inr.lstrip("<>")
    fields: dict[str, Any] = {
        "kind": kind,
        "meter": METER,
        "device_time": None if time is None else DeviceTime(raw=time, local=local(time)),
        "inr": None if kind is Kind.ERROR else Quantity(text=inr, value=value, comparator=comparator, unit="INR"),
        "strip_lot": "564636",
    }
    return Result(**{**fields, **changes})


def reading(number: int, of: Result | None = None, **changes: Any) -> wire.Reading:
    """A reading of a hub with a synchronised clock and no view of the meter's."""
    fields: dict[str, Any] = {
        "journal": JOURNAL,
        "number": number,
        "hub": "home-1",
        "origin": wire.Origin.METER,
        "software": "inr-gateway 0",
        "driver": "astm",
        "port": "kitchen",
        "message": number,
        "position": 0,
        "read_at": NOW,
        "hub_clock": wire.HubClock(synchronised=True, boot_id="boot", monotonic_s=1.0),
        "meter_clock": None,
        "zone": "America/Los_Angeles",
        "meter": METER,
        "result": of if of is not None or changes.get("fault") else result(),
        "fault": None,
        "raw": base64.b64encode(f"R|{number}".encode()).decode(),
    }
    return wire.Reading(**{**fields, **changes})


def clock(meter_local: str, hub_time: datetime = NOW) -> wire.MeterClockReading:
    """The meter's clock beside the hub's."""
    return wire.MeterClockReading(
        device_time=DeviceTime(raw=meter_local, local=local(meter_local)), hub_time=hub_time
    )


def message(what: wire.Reading) -> Message:
    """As it comes from the broker."""
    return Message(topics.reading(what.hub, what.journal, what.number), wire.encode(what))


@dataclass
class Stage:
    """A store and what a test does to it."""

    folder: Path
    role: Role = "production"
    safety: Safety = field(default_factory=Safety)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.path = self.folder / "store.db"
        create_store(self.path, self.role, self.now)
        self.database = open_store(self.path)
        self.register(REGISTRY)

    def close(self) -> None:
        self.database.close()

    def register(self, toml: str) -> None:
        """Import a registry."""
        file = self.folder / "registry.toml"
        file.write_text(toml, encoding="utf-8")
        import_registry(self.database, [file], "tester", self.now)

    def take(self, *readings: wire.Reading) -> list[Taken]:
        """Take in readings as one batch."""
        return self.take_messages([message(each) for each in readings])

    def take_messages(self, messages: Sequence[Message]) -> list[Taken]:
        return ingest(self.database, messages, self.now, self.safety)

    def release(self, row: int, **choice: Any) -> str:
        """A named person releases a row, a minute later."""
        self.now += timedelta(minutes=1)
        return release(self.database, row, "Ada", self.now, Choice(**choice), self.safety)

    def waiting(self) -> list[Entry]:
        return quarantine.open_entries(self.database)

    def reasons(self) -> list[str]:
        return [entry.reason for entry in self.waiting()]

    def rows(self, statement: str, *arguments: object) -> list[sqlite3.Row]:
        return self.database.execute(statement, arguments).fetchall()

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT COUNT(*) FROM {table}")[0][0])

    def versions(self) -> list[sqlite3.Row]:
        return self.rows("SELECT * FROM version ORDER BY result_id, version")

    def marks(self) -> dict[str, int]:
        return {row["journal"]: row["number"] for row in self.rows("SELECT journal, number FROM high_water")}
