"""A store with a patient whose limits are stated, a watch that looks when told, and the command line."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from gateway.cli.main import main
from gateway.clock import Clock
from gateway.reporting.alerts.configuration import Alerts, Escalations, IntendedUse, Watching
from gateway.reporting.alerts.watch import Watch
from gateway.result import Kind
from gateway.server.configuration import Safety
from gateway.store import alerts, escalations
from gateway.store.alerts import Alert
from gateway.store.escalations import Escalation
from gateway.store.opening import Role
from tests.unit.server.stage import Stage, reading, result

STATEMENT = "Our staff tell the treating provider of critical values."
STATED = IntendedUse(statement=STATEMENT, stated_by="Dr. Ada", stated_on=dt.date(2026, 3, 1))
PEOPLE = """
[[treatments]]
patient = "pat"
provider = "clinic"
provider_patient_id = "MRN-1"
from = 2026-01-01

[[limits]]
of = "clinic"
from = 2026-01-01
critical_low = 1.5
critical_high = 5.0

[[limits]]
of = "patient"
id = "pat"
from = 2026-01-01
target_low = 2.0
target_high = 3.0

[[contacts]]
of = "provider"
id = "clinic"
from = 2026-01-01
person = "Nurse Nightshade"
number = "+1 555 0100"
hours = "Mon-Fri 08:00-17:00"
zone = "America/Los_Angeles"
after_hours_person = "Dr. Oncall"
after_hours_number = "+1 555 0199"
"""


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


class Scene(Stage):
    """`Stage` with people to be told, and a watch."""

    def __init__(self, folder: Path, *, role: Role = "production", watching: Watching | None = None) -> None:
        super().__init__(folder, role, Safety(low=Decimal("1.2"), high=Decimal("6")))
        self.watching = watching or Watching(
            STATED, Escalations(), Alerts(check_every_s=0.05), self.safety.low, self.safety.high
        )
        self.register(PEOPLE)
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """A new watch, as after a start."""
        self.watch = Watch(self.path, self.watching, Clock(), self.role)

    def later(self, **time: float) -> None:
        self.now += dt.timedelta(**time)

    def look(self) -> None:
        """Look until there is nothing more to judge; everything is looked at, however short ago that was."""
        while self.watch.look(self.database, self.now):
            pass
        self.begin()
        while self.watch.look(self.database, self.now):
            pass

    def comes(self, inr: str, time: str | None = "2026-03-14T07:28:00", **more: Any) -> None:
        """A reading of the patient's meter."""
        self.number += 1
        kind = more.pop("kind", Kind.PATIENT)
        of = result(time, inr, kind, **more.pop("of", {}))
        self.take(reading(self.number, of, **more))

    def corrected(self, inr: str, status: str = "corrected", patient: str = "pat") -> None:
        """A later version of the first result, as a person's decision makes it."""
        body = result("2026-03-14T07:28:00", inr).model_dump_json(by_alias=True)
        self.database.execute(
            "INSERT INTO version SELECT result_id, max(version) + 1, ?, ?, origin, ?, taken_at, uncertainty_s,"
            " quality, zone, recorded_at, 'test', reading_id FROM version WHERE result_id = 1",
            (status, body, patient),
        )

    def escalations(self, *, closed: bool = False) -> list[Escalation]:
        return escalations.listing(self.database, closed=closed)

    def happened(self, identifier: int) -> list[str]:
        return [event.what for event in escalations.events(self.database, identifier)]

    def alerts(self, kind: str) -> list[Alert]:
        return alerts.standing(self.database, kind)

    def typed(self, *words: object, stated: bool = True) -> Said:
        """Run ``inr-gateway`` at the scene's time."""
        self._write_configuration(stated)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main([*map(str, words), "--config", str(self.folder / "server.toml")])
            except SystemExit as left:
                code = int(left.code or 0)
        return Said(code, out.getvalue(), err.getvalue())

    def printed(self, *words: object) -> list[dict[str, Any]]:
        """The JSON lines that a command prints."""
        said = self.typed(*words, "--json")
        assert said.code == 0, said.err
        return [json.loads(line) for line in said.out.splitlines()]

    def _write_configuration(self, stated: bool) -> None:
        use = f'statement = "{STATEMENT}"\nstated_by = "Dr. Ada"\nstated_on = 2026-03-01\n' if stated else ""
        rig = f"[rig]\nnow = {self.now.isoformat()}\n" if self.role == "rig" else ""
        (self.folder / "server.toml").write_text(
            f'[server]\nname = "test"\nstore = "{self.path}"\nrole = "{self.role}"\n[intended_use]\n{use}{rig}',
            encoding="utf-8",
        )
