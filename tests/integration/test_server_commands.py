"""The server's commands, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.cli.main import main
from gateway.configuration import shipped
from gateway.database import transaction
from gateway.result import Kind
from gateway.wire.reading import Fault
from tests.unit.server.stage import JOURNAL, OTHER_JOURNAL, Stage, message, reading, result
from tests.unit.server.wires import server_toml


class Said(NamedTuple):
    status: int
    out: str
    err: str


Type = Callable[..., Said]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def typed(stage: Stage, capsys: pytest.CaptureFixture[str]) -> Type:
    file = stage.folder / "server.toml"
    file.write_text(server_toml(1883, str(stage.path), safety="high = 5.0"))

    def type_(*words: object) -> Said:
        capsys.readouterr()
        try:
            status = main([*(str(word) for word in words), "--config", str(file)])
        except SystemExit as error:
            status = int(error.code or 0)
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return type_


def test_the_shipped_server_toml_is_valid_and_leads_through_the_first_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (shipped() / "server.toml").read_text(encoding="utf-8")
    file = tmp_path / "server.toml"
    file.write_text(text.replace("/var/lib/inr-gateway", str(tmp_path)), encoding="utf-8")
    for words in (
        ("server", "init"),
        ("registry", "import", str(shipped() / "registry.example")),
        ("server", "status"),
        ("results", "list"),
        ("quarantine", "list"),
    ):
        assert main([*words, "--config", str(file)]) == 0
    out = capsys.readouterr().out
    assert "enrollments: 1 new" in out
    assert "role       production" in out


def test_every_commented_key_of_the_shipped_server_toml_is_a_key(tmp_path: Path) -> None:
    text = (shipped() / "server.toml").read_text(encoding="utf-8")
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        is_key = line.startswith("# ") and (" = " in bare.split("#")[0] or bare.startswith("["))
        lines.append(bare if is_key and not bare[:1].isupper() else line)
    text = "\n".join(lines).replace('role = "production"', 'role = "rig"')
    (tmp_path / "server.toml").write_text(text, encoding="utf-8")
    from gateway.configuration import load
    from gateway.server.configuration import ServerConfiguration

    configuration = load(tmp_path / "server.toml", ServerConfiguration)
    assert configuration.safety.high is not None
    assert configuration.mqtt.tls is not None
    assert configuration.rig.now is not None


def test_a_production_server_takes_no_pretended_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "server.toml"
    file.write_text(server_toml(1883, "s.db", rig="now = 2026-03-14T08:00:00-07:00"))
    assert main(["server", "init", "--config", str(file)]) == 2
    assert "rig" in capsys.readouterr().err


def test_registry_problems_go_to_stderr_and_change_nothing(typed: Type, stage: Stage) -> None:
    bad = stage.folder / "zones.csv"
    bad.write_text("patient,from_date,zone\npat,2026-01-01,Nowhere\n")
    said = typed("registry", "import", bad)
    assert said.status == 1
    assert f"{bad}:2: column zone: 'Nowhere' is no known zone; write an IANA name" in said.err
    assert "nothing was imported: 1 problems" in said.err


def test_the_registry_can_be_listed_and_shown(typed: Type) -> None:
    assert "acme/sn000123" in typed("registry", "list", "meters").out
    shown = typed("registry", "show", "patients", "pat", "--json")
    kinds = [json.loads(line)["kind"] for line in shown.out.splitlines()]
    assert kinds == ["patients", "zones", "assignments"]
    assert typed("registry", "show", "patients", "none").status == 1
    assert "the kinds are providers" in typed("registry", "list", "zebras").err


def test_what_waits_is_listed_shown_with_its_octets_and_released(typed: Type, stage: Stage) -> None:
    stage.take(reading(1, hub="new"), reading(2, result(inr="9.9"), hub="new"))
    rows = [json.loads(line) for line in typed("quarantine", "list", "--json").out.splitlines()]
    assert [row["reason"] for row in rows] == ["unknown_hub", "unknown_hub"]
    shown = typed("quarantine", "show", rows[0]["id"], "--octets").out
    assert "register the hub" in shown
    assert '"2.5"' in shown
    assert "52 7c 31" in shown  # the meter's octets, R|1
    assert message(reading(1, hub="new")).payload[:16].hex(" ") in shown
    refused = typed("quarantine", "release", rows[0]["id"], "--by", "Ada")
    assert refused.status == 1
    assert "register the hub ('registry import'), then release it" in refused.err
    stage.register('[[hubs]]\nid = "new"\nkind = "home"\n')
    said = typed("quarantine", "release", "--reason", "unknown_hub", "--all", "--by", "Ada")
    assert said.status == 0
    assert "2 released, 0 wait on" in said.out
    assert "released by Ada" in typed("quarantine", "list", "--closed").out
    assert "release by Ada" in typed("quarantine", "show", rows[0]["id"]).out


def test_a_contradiction_is_decided_by_naming_a_reading(typed: Type, stage: Stage) -> None:
    stage.take(reading(1), reading(2, result(strip_lot="OTHER")))
    (row,) = [json.loads(line)["id"] for line in typed("quarantine", "list", "--json").out.splitlines()]
    shown = typed("quarantine", "show", row).out
    assert "reading 1: hub home-1" in shown
    assert "reading 2 (brought this up): hub home-1" in shown
    assert "--keep" in typed("quarantine", "release", row, "--by", "Ada").err
    assert "is not of result" in typed("quarantine", "release", row, "--by", "Ada", "--keep", 77).err
    assert typed("quarantine", "release", row, "--by", "Ada", "--keep", 2).out.endswith("version 2 (corrected)\n")


def test_dismissing_needs_a_note_and_is_final(typed: Type, stage: Stage) -> None:
    fault = Fault(reason="checksum", detail="")
    stage.take(reading(1, fault=fault), reading(2, result(None)))
    first, second = (json.loads(line)["id"] for line in typed("quarantine", "list", "--json").out.splitlines())
    assert typed("quarantine", "dismiss", first, "--by", "Ada").status == 2
    assert typed("quarantine", "dismiss", first, second, "--by", "Ada", "--note", "test strip").status == 0
    assert "dismissed" in typed("results", "list").out
    said = typed("quarantine", "release", second, "--by", "Ada")
    assert said.status == 1
    assert "was dismissed by Ada at" in said.err
    assert stage.count("version") == 0


def test_dismissing_a_reported_result_takes_it_back(typed: Type, stage: Stage) -> None:
    stage.take(reading(1), reading(2, result(strip_lot="OTHER")))
    with transaction(stage.database):
        stage.database.execute(
            "INSERT INTO destination (id, provider_id, channel, address, updated_at)"
            " VALUES ('ehr', 'clinic', 'hl7v2', 'mllp://127.0.0.1:1', '')"
        )
        stage.database.execute(
            "INSERT INTO report (result_id, version, destination_id, control_id, octets, created_at, state,"
            " next_attempt_at) VALUES (1, 1, 'ehr', 'c', x'00', '', 'delivered', '')"
        )
    said = typed("quarantine", "dismiss", 1, "--by", "Ada", "--note", "x")
    assert said.status == 0
    assert "result 1 is taken back from patient pat; reported to ehr before" in said.out
    assert [row["status"] for row in stage.versions()] == ["final", "retracted"]
    assert typed("results", "restore", 1, "--by", "Ada", "--why", "a mistake").status == 0
    assert [row["status"] for row in stage.versions()] == ["final", "retracted", "corrected"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "name rows, or say --all"),
        (("--all",), "--all needs --reason"),
        ((1, 2, "--keep", 3), "is for one row"),
        ((1, "--taken-at", "2026-03-14T07:30"), "needs an offset"),
    ],
)
def test_what_is_asked_wrongly_is_said(typed: Type, words: tuple[object, ...], expected: str) -> None:
    said = typed("quarantine", "release", *words, "--by", "Ada")
    assert said.status == 2
    assert expected in said.err


def test_results_say_where_each_is_and_why_it_waits(typed: Type, stage: Stage) -> None:
    stage.take(
        reading(1),
        reading(1, journal=OTHER_JOURNAL, hub="home-2"),
        reading(2, result("2025-01-01T07:00:00", ">8.0")),
        reading(3, result("2026-03-02T07:00:00", kind=Kind.CONTROL)),
    )
    found = [json.loads(line) for line in typed("results", "list", "--json").out.splitlines()]
    by_id = {row["id"]: row for row in found}
    assert by_id[1]["readings"] == [f"home-1/{JOURNAL}/1", f"home-2/{OTHER_JOURNAL}/1"]
    assert (by_id[1]["patient"], by_id[1]["version"], by_id[1]["inr"]) == ("pat", 1, "2.5")
    assert (by_id[2]["inr"], by_id[2]["waits"][0][1]) == (">8", "unassigned_meter")
    assert (by_id[3]["kind"], by_id[3]["version"]) == ("control", None)
    of_pat = [
        json.loads(line)["id"] for line in typed("results", "list", "--patient", "pat", "--json").out.splitlines()
    ]
    assert of_pat == [1]
    table = typed("results", "list", "--waiting").out
    assert "unassigned_meter (quarantine 1)" in table
    assert len(table.splitlines()) == 2


def test_backup_restore_and_reconcile(typed: Type, stage: Stage) -> None:
    stage.take(reading(1))
    backup = stage.folder / "backup"
    assert "1 readings" in typed("server", "backup", backup).out
    stage.database.close()
    assert "--replace" in typed("server", "restore", backup).err
    assert "the former store is kept as" in typed("server", "restore", backup, "--replace").out
    assert "NOT RECONCILED: nothing is delivered" in typed("server", "status").out
    assert "is reconciled by Ada" in typed("server", "reconcile", "--by", "Ada").out
    assert "was already reconciled by Ada" in typed("server", "reconcile", "--by", "Eve").out
    status = typed("server", "status").out
    assert f"home-1/{JOURNAL}: complete up to 1" in status
    assert "1 patient; 1 with a patient" in status


def test_status_counts_and_names_gaps_but_no_person(typed: Type, stage: Stage) -> None:
    stage.take(reading(1), reading(4, result(inr="9.9"), hub="new"))
    status = typed("server", "status").out
    assert f"new/{JOURNAL}: complete up to 1, with gaps up to 4" in status
    assert "waiting    1 unknown_hub" in status
    assert "Secretname" not in status
