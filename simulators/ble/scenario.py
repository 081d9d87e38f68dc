"""Scenarios of Bluetooth meters: the same meters, clocks and memories as for other protocols, another dialect.

A TOML or JSON file::

    schema = "inr-gateway/ble-scenario/1"
    starts = 2026-03-14T12:00:00-04:00
    [meter]     # simulators.meter.Identity
    [clock]     # simulators.meter.Clock
    [dialect]   # simulators.ble.dialect.Dialect: length, form, stamp, ...
    [security]  # simulators.ble.dialect.Security: passkey, how it is paired
    [radio]     # simulators.ble.dialect.Radio: address, name
    [[memory]]  # simulators.meter.Entry, oldest first
    [[faults]]  # simulators.ble.dialect.Fault
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, Field

from simulators.ble.dialect import Dialect, Fault, Radio, Security
from simulators.meter import Clock, Entry, Identity
from simulators.part import Part
from simulators.scenario import read

__all__ = ["SCENARIO_SCHEMA", "BleScenario", "load"]

SCENARIO_SCHEMA: Final = "inr-gateway/ble-scenario/1"


class BleScenario(Part):
    """One simulated meter, whole."""

    schema_: Literal["inr-gateway/ble-scenario/1"] = Field(default=SCENARIO_SCHEMA, alias="schema")
    starts: AwareDatetime | None = None
    meter: Identity = Identity()
    clock: Clock = Clock()
    dialect: Dialect = Dialect()
    security: Security = Security()
    radio: Radio = Radio()
    memory: tuple[Entry, ...] = ()
    faults: tuple[Fault, ...] = ()


def load(path: Path) -> BleScenario:
    """Read a scenario file.

    Raises:
        ScenarioError: it is missing, neither TOML nor JSON, or does not fit; every unfit key is named.
    """
    return read(path, BleScenario)
