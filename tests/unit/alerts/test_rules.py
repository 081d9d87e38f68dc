"""Alerts open when something is so, and close when it is not; persons see them and put them off."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import utc
from gateway.database import transaction
from gateway.reporting.alerts.configuration import Alerts, Escalations, Watching
from gateway.server.release import dismiss
from gateway.store import alerts, presence
from tests.unit.alerts.scene import STATED, Scene
from tests.unit.server.stage import NOW, clock


def details(scene: Scene, kind: str) -> dict[str, str]:
    return {alert.subject: alert.detail for alert in scene.alerts(kind)}


def test_out_of_target_follows_the_latest_test(scene: Scene) -> None:
    scene.comes("3.4")
    scene.look()
    assert details(scene, "out_of_target") == {"patient pat": "result 1: 3.4, above target (2 to 3)"}
    scene.comes("1.2", "2026-03-07T07:00:00")  # late, and older: it changes nothing
    scene.look()
    assert "result 1" in details(scene, "out_of_target")["patient pat"]
    scene.comes("1.8", "2026-03-14T09:00:00")
    scene.look()
    assert details(scene, "out_of_target") == {"patient pat": "result 3: 1.8, below target (2 to 3)"}
    scene.comes("2.4", "2026-03-14T10:00:00")
    scene.look()
    assert details(scene, "out_of_target") == {}
    (closed,) = scene.rows("SELECT closed_by, why_closed FROM alert WHERE kind = 'out_of_target'")
    assert tuple(closed) == ("server", "its cause has gone")


def test_new_limits_close_what_they_make_normal(scene: Scene) -> None:
    scene.comes("3.4")
    scene.look()
    scene.register(
        '[[limits]]\nof = "patient"\nid = "pat"\nfrom = 2026-02-01\ntarget_low = 2.5\ntarget_high = 3.5\n'
    )
    scene.look()
    assert details(scene, "out_of_target") == {}


def test_a_result_of_a_patient_who_is_not_live_is_stored_and_somebody_is_told(scene: Scene) -> None:
    scene.comes("2.4")
    scene.look()
    assert details(scene, "not_live") == {"patient pat": "result 1 came, and is not live"}
    assert len(scene.versions()) == 1
    assert scene.typed("patients", "go-live", "pat", "--by", "Ada").code == 0
    scene.look()
    assert details(scene, "not_live") == {}
    scene.register(
        '[[limits]]\nof = "patient"\nid = "pat"\nfrom = 2026-02-01\ntarget_low = "inherit"\n'
        'target_high = "inherit"\n'
    )
    scene.comes("2.4", "2026-03-14T09:00:00")
    scene.look()
    assert details(scene, "not_live") == {"patient pat": "target_low and target_high are not stated"}


def test_on_a_rig_nobody_goes_live(tmp_path: Path) -> None:
    scene = Scene(tmp_path, role="rig")
    scene.comes("2.4")
    scene.look()
    assert scene.alerts("not_live") == []
    scene.close()


def test_no_test_within_the_interval_in_days_of_the_patients_zone(scene: Scene) -> None:
    scene.comes("2.4", "2026-03-06T23:30:00")  # a Friday night in Los Angeles, Saturday in UTC
    scene.now = NOW.replace(day=15, hour=6, minute=0)  # 23:00 on Saturday the 14th there: eight days
    scene.look()
    assert details(scene, "no_test") == {}
    scene.later(hours=2)  # past midnight there: nine days, one more than a week and a day of grace
    scene.look()
    assert details(scene, "no_test") == {"patient pat": "no test since 2026-03-06, 7 days are ordered"}
    scene.comes("2.4", "2026-03-15T00:30:00")
    scene.look()
    assert details(scene, "no_test") == {}


def test_the_order_says_how_often_and_the_end_of_service_ends_it(scene: Scene) -> None:
    scene.comes("2.4", "2026-03-06T07:00:00")
    document(scene, "order", '{"interval_days":14,"practitioner":"Dr. Bell","signed_on":"2026-01-01"}')
    scene.now = NOW + timedelta(days=5)
    scene.look()
    assert details(scene, "no_test") == {}
    scene.later(days=3)
    scene.look()
    assert details(scene, "no_test") == {"patient pat": "no test since 2026-03-06, 14 days are ordered"}
    document(scene, "event", '{"date":"2026-03-20","type":"withdrawn"}')
    scene.look()
    assert details(scene, "no_test") == {}


def document(scene: Scene, kind: str, body: str) -> None:
    scene.database.execute(
        "INSERT INTO document (patient_id, kind, body, sha256, source, recorded_at, recorded_by)"
        " VALUES ('pat', ?, ?, 'x', 'cli', ?, 'Ada')",
        (kind, body, utc(scene.now)),
    )


def test_what_is_not_delivered_after_hours(scene: Scene) -> None:
    scene.comes("2.4")
    scene.comes("2.6", "2025-03-14T08:00:00")  # nobody's
    scene.look()
    scene.later(hours=5)
    scene.look()
    found = details(scene, "no_delivery")
    assert found["patient pat"].startswith("1 results have no report")
    assert found["quarantine"].startswith("1 rows wait for a person")
    scene.register('[[destinations]]\nid = "ehr"\nprovider = "clinic"\naddress = "mllp://127.0.0.1:1"\n')
    report(scene, "waiting")
    scene.look()
    assert set(details(scene, "no_delivery")) == {"quarantine"}  # its four hours begin now
    scene.later(hours=5)
    scene.look()
    assert details(scene, "no_delivery")["destination ehr"].startswith("1 reports wait")
    scene.database.execute("UPDATE report SET state = 'refused'")
    scene.look()
    assert "destination ehr" in details(scene, "no_delivery")
    scene.database.execute("UPDATE report SET state = 'delivered'")
    dismiss(scene.database, 1, "Ada", scene.now, "of another patient")
    scene.look()
    assert details(scene, "no_delivery") == {}
    assert scene.count("watched") == 0


def report(scene: Scene, state: str) -> None:
    scene.database.execute(
        "INSERT INTO report (result_id, version, destination_id, control_id, octets, created_at, state,"
        " next_attempt_at) VALUES (1, 1, 'ehr', 'c', x'00', ?, ?, '')",
        (utc(scene.now), state),
    )


def test_a_batch_is_late_only_after_its_hour(scene: Scene) -> None:
    scene.comes("2.4")
    scene.register('[[destinations]]\nid = "ehr"\nprovider = "clinic"\naddress = "mllp://127.0.0.1:1"\n')
    report(scene, "waiting")
    scene.database.execute("UPDATE report SET not_before = ?", (utc(scene.now + timedelta(hours=20)),))
    scene.later(hours=19)
    scene.look()
    assert details(scene, "no_delivery") == {}
    scene.later(hours=6)
    scene.look()
    assert set(details(scene, "no_delivery")) == {"destination ehr"}


def test_a_hub_that_nobody_hears(scene: Scene) -> None:
    scene.database.execute("DELETE FROM hub WHERE id = 'home-2'")
    scene.later(hours=23)
    scene.look()
    assert details(scene, "hub_silent") == {}
    scene.later(hours=2)
    scene.look()
    assert details(scene, "hub_silent") == {"hub home-1": "never heard"}
    with transaction(scene.database):
        presence.said(scene.database, "home-1", online=True, at=utc(scene.now), retained=False)
    scene.look()
    assert details(scene, "hub_silent") == {}
    heard = utc(scene.now)
    scene.later(hours=1)
    with transaction(scene.database):
        presence.said(scene.database, "home-1", online=False, at=utc(scene.now), retained=False)
    off = utc(scene.now)
    scene.later(hours=24)
    scene.look()
    assert details(scene, "hub_silent") == {"hub home-1": f"last heard {heard}, off since {off}"}


def test_what_stood_at_the_broker_before_is_no_sign_of_life(scene: Scene) -> None:
    with transaction(scene.database):
        presence.said(scene.database, "home-1", online=True, at=utc(NOW), retained=True)
        presence.said(scene.database, "home-1", online=True, at=utc(NOW + timedelta(hours=9)), retained=True)
    (hub, *_) = presence.home_hubs(scene.database, "desk")
    assert (hub.online, hub.heard_at) == (True, utc(NOW))
    with transaction(scene.database):
        presence.heard(scene.database, ["home-1"], utc(NOW + timedelta(hours=10)))
    assert presence.home_hubs(scene.database, "desk")[0].heard_at == utc(NOW + timedelta(hours=10))


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        ("2026-03-14T11:20:00", "its clock is 20 minutes ahead of the hub's"),
        ("2026-03-14T10:40:00", "its clock is 20 minutes behind the hub's"),
        ("2026-03-14T11:10:00", None),
    ],
)
def test_a_meter_whose_clock_is_off(scene: Scene, shown: str, says: str | None) -> None:
    scene.comes("2.4", meter_clock=clock(shown))
    scene.look()
    assert details(scene, "meter_clock") == ({} if says is None else {"meter acme/sn000123": says})


def test_a_meter_whose_clock_was_put_right_and_one_that_was_never_set(scene: Scene) -> None:
    scene.comes("2.4", None)
    scene.look()
    assert "never set" in details(scene, "meter_clock")["meter acme/sn000123"]
    scene.comes("2.4", meter_clock=clock("2026-03-14T11:00:00"))
    scene.look()
    assert details(scene, "meter_clock") == {}


def test_each_kind_has_its_owner_and_may_be_switched_off(tmp_path: Path) -> None:
    settings = Alerts(owner="desk", owners={"not_live": "Ada"}, off=("out_of_target",))
    scene = Scene(tmp_path, watching=Watching(STATED, Escalations(), settings))
    scene.comes("3.4")
    scene.look()
    scene.later(hours=5)
    scene.look()
    owners = {each["kind"]: each["owner"] for each in scene.printed("alerts", "list")}
    assert owners == {"not_live": "Ada", "no_delivery": "desk"}
    assert [each["kind"] for each in scene.printed("alerts", "list", "--owner", "Ada")] == ["not_live"]
    scene.close()


def test_an_alert_stands_once_however_often_it_is_looked_at(scene: Scene) -> None:
    scene.comes("3.4")
    for _ in range(3):
        scene.look()
    assert [alerts.events(scene.database, each.id)[0][2] for each in scene.alerts("out_of_target")] == ["opened"]
    assert len(scene.rows("SELECT * FROM alert_event WHERE what = 'opened' AND alert_id = 1")) == 1


def test_an_idle_watch_writes_nothing(scene: Scene) -> None:
    scene.comes("3.4")
    scene.look()
    before = scene.database.total_changes
    for _ in range(5):
        scene.later(minutes=1)
        scene.look()
    assert scene.database.total_changes == before
