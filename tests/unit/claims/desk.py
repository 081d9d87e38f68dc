"""A billing desk with a store on disk and a server.toml: patients, tests, papers, and the command line."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from gateway.cli.main import main
from gateway.clock import utc
from gateway.database import transaction
from gateway.result import RESULT_SCHEMA, DeviceTime, Kind, Meter, Quantity, Result
from gateway.store import documents, epochs
from gateway.store.opening import create_store, open_store

NOW = dt.datetime(2026, 3, 30, 17, 0, tzinfo=dt.UTC)
"""A Monday, 10:00 in Los Angeles."""
ZONE = "America/Los_Angeles"
MONDAYS = [dt.datetime(2026, 2, 2, 15, tzinfo=dt.UTC) + dt.timedelta(days=7 * week) for week in range(8)]
"""Mondays from 2 February 2026 at 15:00 UTC, 07:00 in Los Angeles until the clocks go forward on 8 March."""
PRICES = """\
[[price]]
code = "G0249"
effective_from = 2026-01-01
cents = 12345

[institutional]
revenue_code = "0920"
"""


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


@dataclass
class Desk:
    """A store of a rig whose clock stands at `now`."""

    folder: Path
    now: dt.datetime = NOW
    database: sqlite3.Connection = field(init=False)

    def __post_init__(self) -> None:
        create_store(self.store, "rig", self.now)
        self.database = open_store(self.store)
        self.set_clock(self.now)
        (self.folder / "prices.toml").write_text(PRICES, encoding="utf-8")
        self.write(
            "INSERT INTO provider (id, name, npi, updated_at)"
            " VALUES ('clinic', 'Riverside Clinic', '1234567893', ?)",
            utc(self.now),
        )
        self.write(
            "INSERT INTO destination (id, provider_id, channel, address, application, updated_at)"
            " VALUES ('clinic-ehr', 'clinic', 'hl7v2', 'mllp://127.0.0.1:1', 'EHR', ?)",
            utc(self.now),
        )

    @property
    def store(self) -> Path:
        return self.folder / "store.db"

    def close(self) -> None:
        self.database.close()

    def set_clock(self, now: dt.datetime) -> None:
        self.now = now
        (self.folder / "server.toml").write_text(
            f'[server]\nname = "desk"\nstore = "{self.store}"\nrole = "rig"\n[rig]\nnow = {now.isoformat()}\n',
            encoding="utf-8",
        )

    def units(self, *words: str) -> Said:
        """Run ``inr-gateway units``."""
        action, *rest = words
        config = ["--config", str(self.folder / "server.toml")]
        line = (
            ["units", action, *config, *rest]
            if action != "denials"
            else ["units", action, rest[0], *config, *rest[1:]]
        )
        return self._said(line)

    def evaluate(self, file: Path, *more: str) -> Said:
        """Run ``inr-gateway units evaluate``, which needs no store."""
        return self._said(["units", "evaluate", *more, str(file)])

    def _said(self, line: list[str]) -> Said:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(line)
            except SystemExit as left:  # argparse
                code = int(left.code or 0)
        return Said(code, out.getvalue(), err.getvalue())

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """The JSON lines that a list prints."""
        said = self.units(*words, "--json")
        assert said.code == 0, said.err
        return [json.loads(line) for line in said.out.splitlines()]

    def write(self, statement: str, *arguments: object) -> int:
        with transaction(self.database):
            return self.database.execute(statement, arguments).lastrowid or 0

    def value(self, statement: str, *arguments: object) -> Any:
        return self.database.execute(statement, arguments).fetchone()[0]

    def patient(self, name: str = "P1", *, zone: str = ZONE, **enrollment: object) -> str:
        """An eligible patient."""
        facts: dict[str, object] = {
            "payer": "medicare_ffs",
            "mac": "noridian",
            "diagnosis": "Z79.01 I48.20",
            "warfarin_start": "2025-01-01",
            "training_date": "2026-01-15",
            "training_documented": 1,
            "order_signed_on": "2026-01-10",
            **enrollment,
        }
        with transaction(self.database):
            self.database.execute(
                "INSERT INTO patient VALUES (?, 'Example', 'Robin', '1948-03-18', 'F', ?)", (name, utc(self.now))
            )
            self.database.execute("INSERT INTO patient_zone VALUES (?, '2020-01-01', ?)", (name, zone))
            self.database.execute(
                f"INSERT INTO enrollment (patient_id, {', '.join(facts)}, recorded_at)"
                f" VALUES (?, {', '.join('?' * len(facts))}, ?)",
                (name, *facts.values(), utc(self.now)),
            )
            key = f"acme/sn{name.lower()}"
            self.database.execute(
                "INSERT INTO meter VALUES (?, 'ACME', ?, 'HomeINR', ?)", (key, name, utc(self.now))
            )
            self.database.execute(
                "INSERT INTO assignment (meter_key, patient_id, from_at) VALUES (?, ?, ?)",
                (key, name, "2026-01-01T00:00:00.000Z"),
            )
        return name

    def test(
        self,
        patient: str,
        taken: dt.datetime,
        *,
        inr: str = "2.5",
        reported: dt.timedelta | None = dt.timedelta(minutes=5),
        acknowledged: dt.timedelta | None = dt.timedelta(minutes=6),
        kind: Kind = Kind.PATIENT,
    ) -> int:
        """A test, reported and acknowledged unless told otherwise. Returns the number of its result."""
        key = f"acme/sn{patient.lower()}"
        local = (taken - dt.timedelta(hours=8)).replace(tzinfo=None)
        with transaction(self.database):
            row = self.database.execute(
                "INSERT INTO result (key, recipe, meter_key, kind, inr, device_time, created_at)"
                " VALUES (?, 1, ?, ?, ?, ?, ?)",
                (f"{patient}/{taken}/{kind}", key, kind.value, inr, local.isoformat(), utc(self.now)),
            )
            result = row.lastrowid or 0
            if kind is Kind.PATIENT:
                self._version(result, patient, "final", taken, inr)
                self._report(result, 1, taken, reported, acknowledged)
        return result

    def correct(self, result: int, patient: str, taken: dt.datetime, *, inr: str, reported: bool = True) -> None:
        """A new version of a result."""
        with transaction(self.database):
            self.database.execute("UPDATE result SET inr = ? WHERE id = ?", (inr, result))
            number = self._version(result, patient, "corrected", taken, inr)
            if reported:
                self._report(result, number, self.now, dt.timedelta(0), dt.timedelta(minutes=1))

    def retract(self, result: int, patient: str, taken: dt.datetime) -> None:
        """The result turns out not to be this patient's."""
        with transaction(self.database):
            self._version(result, patient, "retracted", taken, "2.5")

    def paper(self, patient: str, kind: str, result: int | None = None, **body: object) -> int:
        """A document that holds."""
        content = {name.rstrip("_"): value for name, value in body.items()}
        if result is not None:
            content["result"] = result
        text = documents.canonical(content)
        with transaction(self.database):
            return documents.add(
                self.database,
                documents.NewDocument(
                    patient,
                    kind,
                    text,
                    documents.digest(text.encode()),
                    result,
                    None,
                    "",
                    "cli",
                    utc(self.now),
                    "Pat Clerk",
                ),
            )

    def restored(self) -> None:
        """As `server restore` leaves the store."""
        with transaction(self.database):
            epochs.begin(self.database, self.now, "restored")

    def _version(self, result: int, patient: str, status: str, taken: dt.datetime, inr: str) -> int:
        body = Result(
            schema=RESULT_SCHEMA,
            kind=Kind.PATIENT,
            meter=Meter(vendor="ACME", serial=f"SN{patient}", model="HomeINR", firmware="1.2"),
            device_time=DeviceTime(raw="x", local=taken.replace(tzinfo=None)),
            inr=Quantity(text=inr, value=inr.lstrip("<>"), comparator=">" if inr.startswith(">") else None),
            record_number=str(result),
            strip_lot="564636",
        )
        found = self.database.execute(
            "INSERT INTO version (result_id, version, status, body, origin, patient_id, taken_at, uncertainty_s,"
            " quality, zone, recorded_at, why) SELECT ?, COALESCE(MAX(version), 0) + 1, ?, ?, 'meter', ?, ?, 2.0,"
            " 'synchronised', ?, ?, 'test' FROM version WHERE result_id = ? RETURNING version",
            (result, status, body.model_dump_json(by_alias=True), patient, utc(taken), ZONE, utc(self.now), result),
        ).fetchone()
        return int(found[0])

    def _report(
        self,
        result: int,
        version: int,
        taken: dt.datetime,
        reported: dt.timedelta | None,
        acknowledged: dt.timedelta | None,
    ) -> None:
        if reported is None:
            return
        sent = utc(taken + reported)
        row = self.database.execute(
            "INSERT INTO report (result_id, version, destination_id, control_id, octets, created_at, state,"
            " next_attempt_at) VALUES (?, ?, 'clinic-ehr', ?, ?, ?, 'delivered', '')",
            (result, version, f"C{result}-{version}", b"MSH|%d" % result, sent),
        )
        attempt = self.database.execute(
            "INSERT INTO attempt (report_id, started_at, ended_at, outcome) VALUES (?, ?, ?, 'delivered')",
            (row.lastrowid, sent, sent),
        )
        if acknowledged is not None:
            self.database.execute(
                "INSERT INTO evidence (report_id, attempt_id, level, at, peer, octets)"
                " VALUES (?, ?, 'delivered', ?, ?, ?)",
                (row.lastrowid, attempt.lastrowid, utc(taken + acknowledged), "EHR", b"MSA|AA|%d" % result),
            )
