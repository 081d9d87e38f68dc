"""Strips are counted one way, whichever command asks (rules R18, R30)."""

from __future__ import annotations

import json

import pytest

from gateway.cli.main import main
from tests.unit.claims.desk import MONDAYS, Desk


@pytest.mark.parametrize(
    ("orders", "days"),
    [
        ([], 7),
        ([("2026-01-10", None)], 7),
        ([("2026-01-10", 14)], 14),
        ([("2026-01-10", 14), ("2026-01-10", None)], 14),
        ([("2026-01-10", 14), ("2026-02-10", 28)], 28),
    ],
)
def test_the_list_and_the_patient_agree_on_the_ordered_interval(
    desk: Desk, capsys: pytest.CaptureFixture[str], orders: list[tuple[str, int | None]], days: int
) -> None:
    desk.patient()
    for signed_on, interval_days in orders:
        named = {} if interval_days is None else {"interval_days": interval_days}
        desk.paper("P1", "order", signed_on=signed_on, practitioner="Dr. V", **named)
    desk.paper("P1", "supply_delivery", date="2026-01-20", strips=6)
    for taken in MONDAYS[:4]:
        desk.test("P1", taken)
    config = ["--config", str(desk.folder / "server.toml")]
    assert main(["documents", "supplies", "--patient", "P1", "--shipping-days", "3", "--json", *config]) == 0
    one = json.loads(capsys.readouterr().out)
    (row,) = desk.rows("worklist", "supplies", "--shipping-days", "3")
    assert one["interval_days"] == days
    shared = ("patient", "on_hand", "exhausted_on", "contact_from", "deliver_from")
    assert {name: row[name] for name in shared} == {name: one[name] for name in shared}
