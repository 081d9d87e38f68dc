"""``alerts``, ``escalations`` and ``patients`` as a person types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import moment, utc
from gateway.result import Kind
from tests.unit.alerts.scene import Scene


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Scene]:
    """A rig, so that the commands run at the scene's own time."""
    scene = Scene(tmp_path, role="rig")
    yield scene
    scene.close()


def test_an_escalation_from_the_first_call_to_its_close(rig: Scene) -> None:
    rig.comes("6.1")
    rig.look()
    (row,) = rig.printed("escalations", "list")
    assert (row["state"], row["patient_id"], row["inr"], row["contacts"][0]["person"]) == (
        "open",
        "pat",
        "6.1",
        "Nurse Nightshade",
    )
    table = rig.typed("escalations", "list").out.splitlines()
    assert table[0].split()[:4] == ["ID", "STATE", "SINCE", "CAUSE"]
    assert len(table) == 2
    tried = rig.typed("escalations", "attempt", 1, "--by", "Ada", "--not-reached", "Dr. Oncall", "--number", "0199")
    assert (tried.code, tried.err) == (0, "")
    (row,) = rig.printed("escalations", "list")
    assert timedelta(minutes=14) < moment(row["next_contact_at"]) - rig.now < timedelta(minutes=16)
    early = rig.typed("escalations", "close", 1, "--by", "Ada")
    assert (early.code, early.out) == (1, "")
    assert "was read back by nobody" in early.err
    again_at = "2026-03-14T21:00:00+00:00"
    reached = rig.typed(
        "escalations", "attempt", 1, "--by", "Ada", "--reached", "Dr. Oncall", "--again-at", again_at
    )
    assert "2026-03-14T21:00:00.000Z" in reached.out
    read = rig.typed("escalations", "acknowledge", 1, "--by", "Ada", "--read-back", "Dr. Oncall: 6.1")
    assert read.code == 0
    assert rig.printed("escalations", "list")[0]["state"] == "acknowledged"
    assert rig.typed("escalations", "close", 1, "--by", "Ada", "--note", "dose withheld").code == 0
    assert rig.printed("escalations", "list") == []
    (closed,) = rig.printed("escalations", "list", "--closed")
    assert (closed["closed_by"], closed["read_back"], closed["reason"]) == (
        "Ada",
        "Dr. Oncall: 6.1",
        "dose withheld",
    )
    shown = rig.typed("escalations", "show", 1).out
    for each in (
        "opened by server",
        "not reached by Ada: Dr. Oncall 0199",
        "reached by Ada",
        "closed by Ada: dose",
    ):
        assert each in shown
    events = json.loads(rig.typed("escalations", "show", 1, "--json").out)["events"]
    assert [each["what"] for each in events] == ["opened", "not reached", "reached", "acknowledged", "closed"]


def test_closing_without_a_read_back_needs_a_reason(rig: Scene) -> None:
    rig.comes("6.1")
    rig.look()
    assert rig.typed("escalations", "close", 1, "--by", "Ada", "--note", "patient is in hospital").code == 0
    again = rig.typed("escalations", "close", 1, "--by", "Ada", "--note", "x")
    assert (again.code, "was closed by Ada" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("close", 1), 2, "--by"),
        (("acknowledge", 1, "--by", "Ada"), 2, "--read-back"),
        (("acknowledge", 1, "--by", "Ada", "--read-back", " "), 1, "needs who read the value back"),
        (("acknowledge", 1, "--by", "server", "--read-back", "x"), 1, "needs the name of a person"),
        (("acknowledge", 9, "--by", "Ada", "--read-back", "x"), 1, "there is no escalation 9"),
        (("attempt", 1, "--by", "Ada"), 2, "--reached"),
        (("attempt", 1, "--by", "Ada", "--reached", "x", "--again-at", "2020-01-01T00:00Z"), 1, "has passed"),
        (("attempt", 1, "--by", "Ada", "--reached", "x", "--again-at", "2026-03-15T07:00"), 2, "needs an offset"),
        (("show", 9), 1, "there is no escalation 9"),
    ],
)
def test_what_is_asked_wrongly_of_escalations(
    rig: Scene, words: tuple[object, ...], code: int, expected: str
) -> None:
    rig.comes("6.1")
    rig.look()
    said = rig.typed("escalations", *words)
    assert said.code == code
    assert expected in said.err
    assert rig.escalations()[0].state == "open"


def test_results_that_nobody_has_judged_are_told(rig: Scene) -> None:
    rig.comes("6.1")
    assert "1 results wait to be judged; is the server running?" in rig.typed("escalations", "list").err
    rig.look()
    assert rig.typed("escalations", "list").err == ""


def test_an_alert_is_seen_put_off_and_comes_back(rig: Scene) -> None:
    rig.comes("3.4")
    rig.look()
    (row,) = rig.printed("alerts", "list", "--kind", "out_of_target")
    assert rig.typed("alerts", "acknowledge", row["id"], "--by", "Ada", "--note", "told the clinic").code == 0
    assert rig.printed("alerts", "list")[0]["acknowledged_by"] == "Ada"
    until = (rig.now + timedelta(hours=2)).isoformat()
    assert rig.typed("alerts", "acknowledge", row["id"], "--by", "Ada", "--until", until).code == 0
    assert rig.printed("alerts", "list") == []
    assert len(rig.printed("alerts", "list", "--all")) == 1
    rig.later(hours=3)
    assert len(rig.printed("alerts", "list")) == 1
    shown = rig.typed("alerts", "show", row["id"]).out
    assert "acknowledged by Ada: told the clinic" in shown
    assert "snoozed by Ada: until" in shown
    assert json.loads(rig.typed("alerts", "show", row["id"], "--json").out)["events"][0]["what"] == "opened"


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("acknowledge", 9, "--by", "Ada"), 1, "there is no alert 9"),
        (("acknowledge", 1, "--by", " "), 1, "needs the name of a person"),
        (("acknowledge", 1, "--by", "Ada", "--until", "2020-01-01T00:00Z"), 1, "has passed"),
        (("show", 9), 1, "there is no alert 9"),
        (("list", "--kind", "zebras"), 2, "the kinds are out_of_target"),
    ],
)
def test_what_is_asked_wrongly_of_alerts(rig: Scene, words: tuple[object, ...], code: int, expected: str) -> None:
    rig.comes("3.4")
    rig.look()
    said = rig.typed("alerts", *words)
    assert said.code == code
    assert expected in said.err


def test_a_closed_alert_is_seen_by_nobody_any_more(rig: Scene) -> None:
    rig.comes("3.4")
    rig.look()
    rig.comes("2.4", "2026-03-14T09:00:00")
    rig.look()
    said = rig.typed("alerts", "acknowledge", 1, "--by", "Ada")
    assert (said.code, "its cause has gone" in said.err) == (1, True)
    assert rig.printed("alerts", "list", "--all")[0]["closed_by"] == "server"


def test_going_live_names_everything_that_is_missing(rig: Scene) -> None:
    said = rig.typed("patients", "go-live", "pat", "sam", "nobody", "--by", "Ada")
    assert said.code == 1
    assert said.out == "patient pat is live\n"
    for each in (
        "patient sam cannot go live: nobody treats the patient now: import treatments; no meter is assigned",
        "target_low and target_high are not stated: import limits; nobody is named who is told",
        "patient nobody cannot go live: nobody of this id is registered",
    ):
        assert each in said.err
    assert rig.typed("patients", "go-live", "pat", "--by", "Ada").out == "patient pat was live already\n"
    rows = {row["patient"]: row for row in rig.printed("patients", "list")}
    assert (rows["pat"]["live"], rows["pat"]["by"], rows["pat"]["lacks"]) == (True, "Ada", [])
    assert (rows["sam"]["live"], len(rows["sam"]["lacks"])) == (False, 4)
    assert "live" in rig.typed("patients", "list").out


def test_a_patient_without_limits_cannot_go_live(rig: Scene) -> None:
    rig.register(
        '[[limits]]\nof = "clinic"\nfrom = 2026-02-01\ncritical_low = "inherit"\ncritical_high = "inherit"\n'
    )
    said = rig.typed("patients", "go-live", "pat", "--by", "Ada")
    assert (said.code, "critical_low and critical_high are not stated: import limits" in said.err) == (1, True)
    assert rig.count("live") == 0


def test_taking_a_patient_out_again(rig: Scene) -> None:
    assert rig.typed("patients", "stand-down", "pat", "--by", "Ada", "--note", "moved").code == 1
    rig.typed("patients", "go-live", "pat", "--by", "Ada")
    assert rig.typed("patients", "stand-down", "pat", "--by", "Ada", "--note", " ").code == 1
    assert rig.typed("patients", "stand-down", "pat", "--by", "Ada", "--note", "moved").code == 0
    assert rig.printed("patients", "list")[0]["live"] is False
    assert rig.count("live") == 2


def test_limits_with_where_each_pair_was_stated(rig: Scene) -> None:
    (row,) = rig.printed("patients", "limits", "pat")
    assert row["target"] == {"low": "2", "high": "3", "source": "patient"}
    assert row["critical"] == {"low": "1.5", "high": "5", "source": "clinic"}
    assert "critical   1.5 to 5, stated for the clinic" in rig.typed("patients", "limits", "pat").out
    assert "not stated" in rig.typed("patients", "limits", "pat", "--on", "2025-12-31").out
    assert rig.typed("patients", "limits", "nobody").code == 1


def test_the_summary_of_a_patient(rig: Scene) -> None:
    for day, inr in ((1, "2.5"), (8, "3.4")):
        rig.comes(inr, f"2026-02-{day:02}T07:00:00")
    rig.comes("", "2026-02-15T07:00:00", kind=Kind.ERROR)
    for day, inr in ((15, "2.8"), (22, "1.9")):
        rig.comes(inr, f"2026-02-{day:02}T07:30:00")
    rig.comes("2.3", "2026-03-01T07:00:00")
    rig.comes("9.9", "2025-03-01T07:00:00")  # waits in quarantine: nobody's
    rig.look()
    (found,) = rig.printed("patients", "summary", "pat")
    assert found["time_in_range_rosendaal"] == "63.19 %"
    assert found["time_in_range_by_day_count"] == "65.52 %"
    assert (found["tests_in_range"], found["covered_days"], found["fihn_sigma"]) == ("60.00 %", "28.0", "0.7314")
    assert (found["tests"], found["failed_tests"], found["first_test"]) == (5, 1, "2026-02-01")
    part = rig.printed("patients", "summary", "pat", "--from", "2026-02-08", "--to", "2026-02-16")[0]
    assert (part["tests"], part["covered_days"]) == (2, "7.0")
    assert rig.printed("patients", "summary", "pat", "--gap", "6")[0]["intervals_left_out"] == 4
    assert "time in range rosendaal        63.19 %" in rig.typed("patients", "summary", "pat").out
    assert rig.typed("patients", "summary", "pat", "--from", "2026-03-02", "--to", "2026-02-16").code == 2
    assert rig.typed("patients", "summary", "nobody").code == 1


def test_the_summary_judges_each_time_by_the_target_of_that_time(rig: Scene) -> None:
    rig.register('[[limits]]\nof = "patient"\nid = "pat"\nfrom = 2026-02-06\ntarget_low = 2.5\ntarget_high = 3.5\n')
    rig.comes("2.5", "2026-02-01T07:00:00")
    rig.comes("3.5", "2026-02-11T07:00:00")
    rig.look()
    assert rig.printed("patients", "summary", "pat")[0]["time_in_range_rosendaal"] == "100.00 %"
    rig.register(
        '[[limits]]\nof = "patient"\nid = "pat"\nfrom = 2026-02-08\ntarget_low = "inherit"\n'
        'target_high = "inherit"\n'
    )
    assert rig.printed("patients", "summary", "pat")[0]["covered_days"] == "7.0"


def test_a_wrong_configuration_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from gateway.cli.main import main

    file = tmp_path / "server.toml"
    for command in ("alerts", "escalations", "patients"):
        assert main([command, "list", "--config", str(tmp_path / "none.toml")]) == 2
        assert "no such file" in capsys.readouterr().err
        file.write_text(f'[server]\nname = "t"\nstore = "{tmp_path}/none.db"\nrole = "rig"\n', encoding="utf-8")
        assert main([command, "list", "--config", str(file)]) == 1
        assert "no store there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ('[intended_use]\nstated_by = "Ada"', "belong together"),
        ('[intended_use]\nstatement = "x"\nstated_by = "Ada"\nstated_on = 2026-03-01', "statement"),
        ("[escalations]\nremind_after_min = []", "remind_after_min"),
        ('[alerts]\nowners = { zebras = "Ada" }', "owners"),
        ("[alerts]\nhub_silent_h = 1", "hub_silent_h"),
    ],
)
def test_a_section_that_cannot_be_used_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str, expected: str
) -> None:
    from gateway.cli.main import main

    file = tmp_path / "server.toml"
    file.write_text(f'{section}\n[server]\nname = "t"\nstore = "{tmp_path}/s"\nrole = "rig"\n', encoding="utf-8")
    assert main(["alerts", "list", "--config", str(file)]) == 2
    assert expected in capsys.readouterr().err


def test_whoever_is_called_depends_on_the_hour(rig: Scene) -> None:
    rig.comes("6.1")
    rig.look()
    assert "call now: Dr. Oncall, +1 555 0199" in rig.typed("escalations", "show", 1).out
    rig.now = rig.now.replace(day=16, hour=16)  # Monday, nine in the morning in Los Angeles
    assert "call now: Nurse Nightshade, +1 555 0100" in rig.typed("escalations", "show", 1).out
    assert utc(rig.now) == "2026-03-16T16:00:00.000Z"
