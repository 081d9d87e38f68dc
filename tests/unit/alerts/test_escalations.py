"""A critical result opens one escalation, once, and nothing but a person closes it."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import utc
from gateway.database import transaction
from gateway.reporting.alerts.configuration import Escalations, Watching
from gateway.reporting.alerts.judging import judge
from gateway.store import escalations, watched
from gateway.store.escalations import Call, EscalationError
from tests.unit.alerts.scene import STATED, Scene
from tests.unit.server.stage import NOW, reading, result


@pytest.mark.parametrize(
    ("inr", "why"),
    [
        ("5.0", "at or above 5 (clinic)"),
        ("7.9", "at or above 5 (clinic)"),
        (">8.0", "above the measuring range, limit 5 (clinic)"),
        ("1.5", "at or below 1.5 (clinic)"),
        ("<0.8", "below the measuring range, limit 1.5 (clinic)"),
        ("4.9", None),
        ("1.6", None),
        ("2.5", None),
    ],
)
def test_at_and_beyond_the_critical_limits(scene: Scene, inr: str, why: str | None) -> None:
    scene.comes(inr)
    scene.look()
    assert [each.limit_text for each in scene.escalations()] == ([] if why is None else [why])


def test_it_says_whose_result_it_is_who_is_told_and_when(scene: Scene) -> None:
    scene.comes("6.1")
    scene.look()
    (found,) = scene.escalations()
    assert (found.patient_id, found.result_id, found.version, found.inr) == ("pat", 1, 1, "6.1")
    assert (found.owner, found.state, found.next_contact_at) == ("Nurse Nightshade", "open", utc(NOW))
    shown = scene.typed("escalations", "show", found.id)
    assert "call now: Dr. Oncall, +1 555 0199" in shown.out  # NOW is a Saturday
    assert "Nurse Nightshade, +1 555 0100, Mon-Fri 08:00-17:00 America/Los_Angeles" in shown.out


def test_copies_of_a_result_and_further_looks_open_nothing_more(scene: Scene) -> None:
    scene.comes("6.1")
    scene.look()
    scene.comes("6.1", hub="home-2")
    scene.look()
    scene.look()
    assert len(scene.escalations()) == 1
    assert watched.unjudged(scene.database) == 0


def test_a_control_or_an_error_is_nobodys_result(scene: Scene) -> None:
    from gateway.result import Kind

    scene.comes("6.1", kind=Kind.CONTROL)
    scene.comes("", kind=Kind.ERROR)
    scene.look()
    assert scene.escalations() == []


def test_a_process_that_ends_between_opening_and_committing_opens_it_once(scene: Scene) -> None:
    scene.comes("6.1")
    with pytest.raises(KeyboardInterrupt):
        judge_and_end(scene)
    assert (scene.escalations(), watched.unjudged(scene.database)) == ([], 1)
    scene.look()
    assert len(scene.escalations()) == 1


def judge_and_end(scene: Scene) -> None:
    with transaction(scene.database):
        assert judge(scene.database, scene.watching, scene.now).escalations == [1]
        raise KeyboardInterrupt


def test_without_a_stated_use_nothing_is_escalated_and_the_commands_say_so(tmp_path: Path) -> None:
    scene = Scene(tmp_path, watching=Watching())
    scene.comes("6.1")
    scene.take(reading(7, result("2025-01-01T07:00:00", "9.9")))
    scene.look()
    assert scene.escalations() == []
    assert scene.alerts("out_of_target") == scene.alerts("not_live") == []
    for words in (("escalations", "list"), ("alerts", "list"), ("patients", "limits", "pat")):
        said = scene.typed(*words, stated=False)
        assert said.code == 0
        assert "has not stated the intended use" in said.err
    refused = scene.typed("patients", "summary", "pat", stated=False)
    assert (refused.code, refused.out) == (1, "")
    assert "has not stated the intended use" in scene.typed("server", "status", stated=False).out
    scene.close()


def test_without_limits_of_its_own_the_safety_limits_speak(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.register(
        '[[limits]]\nof = "clinic"\nfrom = 2026-03-01\ncritical_low = "inherit"\ncritical_high = "inherit"\n'
    )
    scene.comes("5.5")
    scene.comes("6.0", "2026-03-14T08:00:00")
    scene.look()
    assert [each.limit_text for each in scene.escalations()] == ["at or above 6 ([safety])"]
    scene.close()


# ---------------------------------------------------------------- what waits in quarantine


def test_an_urgent_value_in_quarantine_is_escalated_before_anybody_knows_whose_it_is(scene: Scene) -> None:
    scene.comes("9.9", "2025-06-01T07:00:00")  # before the meter was assigned
    scene.look()
    (found,) = scene.escalations()
    assert (found.cause, found.patient_id, found.quarantine_id, found.inr) == ("waiting", None, 1, "9.9")
    assert found.owner == "nobody is named: state contacts"  # a provider's contact is nobody's before it is known
    scene.register(
        '[[assignments]]\nvendor = "ACME"\nserial = "SN000123"\npatient = "pat"\n'
        "from = 2025-01-01\nto = 2026-01-01\n"
    )
    scene.release(1)
    scene.look()
    (same,) = scene.escalations()
    assert (same.id, same.patient_id, same.result_id, same.version) == (found.id, "pat", 1, 1)
    assert scene.happened(found.id) == ["opened", "note", "note"]


def test_what_a_person_dismissed_still_needs_a_person_to_close_it(scene: Scene) -> None:
    from gateway.server.release import dismiss

    scene.comes("9.9", "2025-06-01T07:00:00")
    scene.look()
    dismiss(scene.database, 1, "Ada", scene.now, "test strip of the trainer")
    scene.look()
    (found,) = scene.escalations()
    assert "dismissed by Ada" in escalations.events(scene.database, found.id)[-1].note


def test_a_row_that_was_decided_before_the_watch_saw_it_opens_nothing(scene: Scene) -> None:
    from gateway.server.release import dismiss

    scene.comes("9.9", "2025-06-01T07:00:00")
    dismiss(scene.database, 1, "Ada", scene.now, "test strip of the trainer")
    scene.look()
    assert scene.escalations() == []


# ---------------------------------------------------------------- corrections


def test_a_correction_is_noted_and_closes_nothing(scene: Scene) -> None:
    scene.comes("6.1")
    scene.look()
    scene.corrected("2.6")
    scene.look()
    (found,) = scene.escalations()
    assert found.state == "open"
    assert "version 2 says 2.6: not critical" in escalations.events(scene.database, found.id)[-1].note


def test_a_retraction_is_noted_and_closes_nothing(scene: Scene) -> None:
    scene.comes("6.1")
    scene.look()
    scene.corrected("6.1", "retracted")
    scene.look()
    (found,) = scene.escalations()
    assert "it was taken back" in escalations.events(scene.database, found.id)[-1].note


def test_what_was_read_back_and_then_corrected_is_open_again(scene: Scene) -> None:
    scene.comes("6.1")
    scene.look()
    with transaction(scene.database):
        escalations.acknowledge(
            scene.database, 1, "Ada", scene.now, "Dr. Jones: 6.1", scene.now + timedelta(days=1)
        )
    scene.corrected("7.2")
    scene.look()
    (found,) = scene.escalations()
    assert found.state == "open"
    assert scene.happened(1) == ["opened", "acknowledged", "reopened"]
    with pytest.raises(EscalationError, match="read back by nobody"):
        escalations.close(scene.database, 1, "Ada", scene.now)


@pytest.mark.parametrize(
    ("inr", "status", "cause"), [("2.6", "corrected", "corrected"), ("6.1", "retracted", "corrected")]
)
def test_whoever_was_told_must_hear_that_it_was_wrong(scene: Scene, inr: str, status: str, cause: str) -> None:
    scene.comes("6.1")
    scene.look()
    closed_by_a_person(scene)
    scene.corrected(inr, status)
    scene.look()
    (found,) = scene.escalations()
    assert (found.id, found.cause, found.version) == (2, cause, 2)
    assert "escalation 1 told otherwise" in found.limit_text


def test_a_new_version_with_the_value_that_was_read_back_opens_nothing(scene: Scene) -> None:
    scene.comes("6.1")
    scene.look()
    closed_by_a_person(scene)
    scene.corrected("6.1")
    scene.look()
    assert scene.escalations() == []
    scene.corrected("6.3")
    scene.look()
    assert [each.inr for each in scene.escalations()] == ["6.3"]


def test_a_result_that_was_anothers_is_escalated_for_that_one(scene: Scene) -> None:
    scene.comes("6.1")
    scene.look()
    scene.corrected("6.1", "retracted")
    scene.corrected("6.1", "final", "sam")
    scene.look()
    assert [(each.patient_id, each.version) for each in scene.escalations()] == [("pat", 1), ("sam", 3)]


def closed_by_a_person(scene: Scene) -> None:
    with transaction(scene.database):
        escalations.acknowledge(
            scene.database, 1, "Ada", scene.now, "Dr. Jones: 6.1", scene.now + timedelta(days=1)
        )
        escalations.close(scene.database, 1, "Ada", scene.now)


# ---------------------------------------------------------------- one bad row stalls no other


def test_what_cannot_be_judged_is_a_persons_to_look_at(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.comes("2.5")
    scene.comes("6.1", "2026-03-14T08:00:00")
    scene.database.execute("DROP TRIGGER version_stays")  # past the schema, as damage would
    scene.database.execute('UPDATE version SET body = \'{"inr": "77.7"}\' WHERE result_id = 1')
    scene.look()
    found = {each.result_id: each for each in scene.escalations()}
    assert found[1].limit_text == "it cannot be judged: ValidationError"
    assert found[2].inr == "6.1"
    assert "77.7" not in caplog.text
    assert watched.unjudged(scene.database) == 0


# ---------------------------------------------------------------- reminders


def test_reminders_come_at_their_times_once_and_survive_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(tmp_path, watching=Watching(STATED, Escalations(remind_after_min=(10, 20))))
    scene.comes("6.1")
    scene.look()
    times = []
    for minute in range(1, 75):
        scene.now = NOW + timedelta(minutes=minute)
        scene.begin()
        before = len(scene.happened(1))
        scene.look()
        if len(scene.happened(1)) > before:
            times.append(minute)
    assert times == [10, 30, 50, 70]
    assert scene.escalations()[0].reminders == 4
    assert "escalation 1 is open since" in caplog.text
    scene.later(hours=9)  # the server was away: one reminder, not twenty-seven
    scene.look()
    assert scene.escalations()[0].reminders == 5
    for secret in ("pat", "Secretname", "6.1", "Nightshade", "555"):
        assert secret not in caplog.text.replace(str(tmp_path), "")
    scene.close()


def test_a_call_puts_the_next_reminder_off_and_an_acknowledged_one_is_reminded_of_closing(scene: Scene) -> None:
    scene.comes("6.1")
    scene.look()
    with transaction(scene.database):
        later = scene.now + timedelta(hours=2)
        escalations.attempt(scene.database, 1, "Ada", scene.now, Call(False, "+1 555 0199", "Dr. Oncall"), later)
    scene.later(hours=1)
    scene.look()
    assert scene.happened(1) == ["opened", "not reached"]
    scene.later(hours=1)
    scene.look()
    assert scene.happened(1)[-1] == "reminded"
    with transaction(scene.database):
        due = scene.now + timedelta(hours=24)
        escalations.acknowledge(scene.database, 1, "Ada", scene.now, "Dr. Oncall: 6.1", due)
    scene.later(hours=23)
    scene.look()
    assert scene.happened(1)[-1] == "acknowledged"
    scene.later(hours=2)
    scene.look()
    assert scene.happened(1)[-1] == "reminded"


# ---------------------------------------------------------------- only a person closes


@pytest.mark.parametrize("by", ["", "  ", "server", "Server "])
def test_no_machine_signs(scene: Scene, by: str) -> None:
    scene.comes("6.1")
    scene.look()
    refused = "needs the name of a person"
    with pytest.raises(EscalationError, match=refused):
        escalations.close(scene.database, 1, by, scene.now, "reason")
    with pytest.raises(EscalationError, match=refused):
        escalations.acknowledge(scene.database, 1, by, scene.now, "x: 6.1", scene.now)
    with pytest.raises(EscalationError, match=refused):
        escalations.attempt(scene.database, 1, by, scene.now, Call(True), scene.now)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'closed'",
        "state = 'closed', closed_by = 'server', closed_at = 'x', reason = 'late'",
        "state = 'closed', closed_by = 'Ada', closed_at = 'x'",
        "state = 'closed', closed_by = ' ', closed_at = 'x', reason = 'late'",
        "state = 'closed', closed_by = 'Ada', reason = 'late'",
        "state = 'acknowledged', acknowledged_by = 'Ada', acknowledged_at = 'x'",
        "state = 'acknowledged', acknowledged_by = 'server', acknowledged_at = 'x', read_back = 'x'",
    ],
)
def test_the_store_itself_refuses_to_close_without_a_person(scene: Scene, change: str) -> None:
    scene.comes("6.1")
    scene.look()
    with pytest.raises(sqlite3.IntegrityError):
        scene.database.execute(f"UPDATE escalation SET {change}")


def test_what_happened_is_never_changed_or_deleted(scene: Scene) -> None:
    scene.comes("6.1")
    scene.look()
    with transaction(scene.database):
        escalations.close(scene.database, 1, "Ada", scene.now, "told at the bedside")
    for statement in (
        "DELETE FROM escalation",
        "DELETE FROM escalation_event",
        "UPDATE escalation_event SET note = ''",
        "UPDATE escalation SET state = 'open'",
        "DELETE FROM alert",
        "UPDATE limit_pair SET low = '1'",
        "DELETE FROM contact",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            scene.database.execute(statement)


def test_a_patient_of_whom_no_day_can_be_told_keeps_nobody_else_waiting(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.comes("6.1")
    scene.database.execute("UPDATE patient_zone SET zone = 'Nowhere/At_All' WHERE patient_id = 'pat'")
    scene.look()
    (found,) = scene.escalations()
    assert found.limit_text == "it cannot be judged: UnknownZoneError"
    assert "cannot be kept (UnknownZoneError)" in caplog.text
    scene.database.execute("UPDATE patient_zone SET zone = 'America/Denver' WHERE patient_id = 'pat'")
    scene.comes("6.2", "2026-03-14T09:00:00")
    scene.look()
    assert [each.inr for each in scene.escalations()] == ["?", "6.2"]
