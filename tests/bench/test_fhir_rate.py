"""How fast transactions are made; run with ``pytest -m bench -s tests/bench/test_fhir_rate.py``."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import pytest

from gateway.reporting.channels.fhir import CHANNEL, FhirSettings
from gateway.reporting.reportable import ReportableResult
from tests.unit.reporting.fhir.variants import ALL_THREE, Target, at_home

pytestmark = pytest.mark.bench

COUNT = 4000
ROUNDS = 7


def rate(report: ReportableResult) -> float:
    """Bundles per second and core: the best of some rounds, because others share the machine."""
    reports = [replace(report, result_id=f"{number:032x}") for number in range(COUNT)]
    settings = FhirSettings()
    best = 0.0
    for _ in range(ROUNDS):
        begun = time.process_time()
        for each in reports:
            CHANNEL.render(each, settings)
        best = max(best, COUNT / (time.process_time() - begun))
    return best


@pytest.mark.parametrize(
    ("name", "report", "wanted"),
    [
        ("INR alone", at_home(), 20_000),
        ("INR with target and interpretation", at_home(limits=Target(), interpretation=("N",)), 20_000),
        ("INR, PT and Quick", at_home(result=ALL_THREE), 15_000),
    ],
    ids=["inr", "limits", "all"],
)
def test_rendering(name: str, report: ReportableResult, wanted: int) -> None:
    octets = CHANNEL.render(report, FhirSettings())
    content = json.loads(octets)
    begun = time.process_time()
    for _ in range(500):
        json.dumps(content)
    plain = 500 / (time.process_time() - begun)
    found = rate(report)
    print(
        f"\n    transaction of {len(content['entry'])} entries, {len(octets):,} octets ({name}): {found:,.0f} per"
        f" second and core; json.dumps of the ready content alone: {plain:,.0f}",
        file=sys.stderr,
    )
    assert found >= wanted
