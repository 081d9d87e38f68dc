"""The whole chain, and a paper: a documented early test stands in for the week that the patient then missed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.demo.stage import HUB, Stage, until
from gateway.cli.demo.story import NOW, PATIENT, TODAY, registry
from gateway.store.opening import open_store
from gateway.store.overview import listed
from simulators.scenario import dump, five_weeks


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """The demo's chain; the meter's patient skipped the fourth week after two tests in the third."""
    stage = Stage(tmp_path / "chain", NOW)
    weeks = five_weeks(TODAY)
    kept = [entry for entry in weeks.memory if not 20 <= (entry.at.date() - weeks.memory[0].at.date()).days < 28]
    scenario = tmp_path / "meter.json"
    scenario.write_text(dump(weeks.model_copy(update={"memory": tuple(kept)})), encoding="utf-8")
    try:
        stage.start_broker()
        stage.prepare(registry(stage.mllp_port, HUB))
        stage.start_provider()
        stage.start_server()
        stage.start_meter("--scenario", str(scenario), "--scale", "0.1")
        stage.start_hub()
        yield stage
    finally:
        stage.stop()


def statement(stage: Stage) -> dict[str, list[object]]:
    config = ("--config", str(stage.server_configuration))
    said = stage.call("units", "statement", *config, PATIENT, "--as-of", str(TODAY), "--json")
    found: dict[str, list[object]] = json.loads(said)
    return found


def units(stage: Stage) -> list[object]:
    return [each["tests"] for each in statement(stage)["units"] if isinstance(each, dict)]


def reasons(stage: Stage) -> dict[str, str]:
    return {
        str(each["test"]): str(each["reason"]) for each in statement(stage)["not_covered"] if isinstance(each, dict)
    }


def delivered(stage: Stage) -> list[int]:
    with closing(open_store(stage.store)) as database:
        return [
            row.id
            for row in listed(database, patient=PATIENT)
            if any(report.evidence == "delivered" for report in row.reports)
        ]


def test_an_early_test_with_a_reason_stands_in_for_the_missed_week(stage: Stage) -> None:
    until(lambda: len(delivered(stage)) == 5, 40, "five results in the provider's chart")
    first, second, third, retest, last = delivered(stage)
    assert reasons(stage)[str(retest)] == "SAME_WEEK_NO_REASON"
    assert (
        statement(stage)["pending"] == [str(test) for test in (first, second, third, last)]
        or statement(stage)["units"]
    )
    papers = stage.folder / "papers.toml"
    papers.write_text(
        f'[[early_reason]]\npatient = "{PATIENT}"\nresult = {retest}\ncategory = "travel"\n'
        'text = "Away next week without the meter"\nauthor = "R. Nurse"\ndocumented_at = 2026-02-27T10:00:00\n',
        encoding="utf-8",
    )
    words = ("--config", str(stage.server_configuration), "--by", "R. Nurse")
    assert stage.call("documents", "import", str(papers), *words) == "early_reason: 1 new\n"
    assert str(retest) not in reasons(stage)
    explained = stage.call("units", "explain", *words[:2], PATIENT, str(retest), "--as-of", str(TODAY))
    assert "2026-03-01" in explained
    assert units(stage) == [[str(test) for test in (first, second, third, retest)]]
    assert "EARLY_TEST" in json.dumps(statement(stage)["units"])
    assert statement(stage)["pending"] == [str(last)]


def test_a_result_phoned_in_reaches_the_provider_beside_the_meters(stage: Stage) -> None:
    words = ("--config", str(stage.server_configuration), "--by", "R. Nurse", "--attest", "read over the phone")
    entry = ("--patient", PATIENT, "--inr", "2.8", "--taken-at", "2026-03-03T07:25", "--meter", "ACME/SN000123")
    said = stage.call("results", "enter", *entry, *words)
    number = int(said.split()[1])
    until(lambda: number in delivered(stage) and len(delivered(stage)) == 6, 40, "six results in the chart")
    received = stage.provider_ledger.read_text(encoding="utf-8")
    assert received.count("entered by hand") == 1
    assert statement(stage)["missed_weeks"] == []
    assert str(number) not in reasons(stage)
