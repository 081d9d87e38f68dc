"""Scenarios of 11073 agents: the same meters, clocks and memories as for other protocols, another dialect.

A TOML or JSON file::

    schema = "inr-gateway/ieee11073-scenario/1"
    starts = 2026-03-14T12:00:00-04:00

    [meter]                     # simulators.meter.Identity
    [clock]                     # simulators.meter.Clock
    [dialect]                   # simulators.ieee11073.dialect.Dialect
    transfer = "store"
    [usb]                       # simulators.usb.phdc.UsbIdentity
    [[memory]]                  # simulators.meter.Entry; error_code may name a bit of the device status
    at = 2026-03-10T07:28:00-04:00
    inr = "2.5"
    [[faults]]                  # simulators.ieee11073.dialect.Fault
    kind = "lost_confirmation"
    at = 2
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, Field

from simulators.ieee11073.dialect import Dialect, Fault
from simulators.meter import Clock, Entry, Identity
from simulators.part import Part
from simulators.scenario import read
from simulators.usb.phdc import UsbIdentity

__all__ = ["SCENARIO_SCHEMA", "Ieee11073Scenario", "load"]

SCENARIO_SCHEMA: Final = "inr-gateway/ieee11073-scenario/1"


class Ieee11073Scenario(Part):
    """One simulated agent, whole."""

    schema_: Literal["inr-gateway/ieee11073-scenario/1"] = Field(default=SCENARIO_SCHEMA, alias="schema")
    starts: AwareDatetime | None = None
    meter: Identity = Identity()
    clock: Clock = Clock()
    dialect: Dialect = Dialect()
    usb: UsbIdentity = UsbIdentity()
    memory: tuple[Entry, ...] = ()
    faults: tuple[Fault, ...] = ()


def load(path: Path) -> Ieee11073Scenario:
    """Read a scenario file.

    Raises:
        ScenarioError: it is missing, neither TOML nor JSON, or does not fit; every unfit key is named.
    """
    return read(path, Ieee11073Scenario)
