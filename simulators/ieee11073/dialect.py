"""How a particular agent uses what 20601 leaves open, and what goes wrong with it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from simulators.part import Part

__all__ = ["Dialect", "Fault", "FaultKind", "Form", "Stamp", "Transfer"]


class Transfer(StrEnum):
    """How tests leave the memory."""

    LIVE = "live"
    """The agent reports by itself, one confirmed scan report after another, then releases."""
    STORE = "store"
    """They lie in the segments of a PM-store until the manager fetches them."""
    ASKED = "asked"
    """The agent answers data requests."""


class Form(StrEnum):
    """Form of scan reports."""

    FIXED = "fixed"
    VARIABLE = "variable"
    PERSON_FIXED = "person-fixed"
    PERSON_VARIABLE = "person-variable"


class Stamp(StrEnum):
    """How observations are stamped."""

    ABSOLUTE = "absolute"
    BASE_OFFSET = "base-offset"
    RELATIVE = "relative"


Code = Annotated[int, Field(ge=0, le=0xFFFF)]
Count = Annotated[int, Field(ge=1, le=1000)]


class Dialect(Part):
    """One way to be an agent.

    Attributes:
        system_id: EUI-64 of the agent.
        config_id: identifier of the configuration it describes.
        standard_first: a standard configuration it offers first, without describing it.
        tests_per_report: tests that share one scan report.
        entries_per_segment: tests in one stored segment.
        entries_per_event: stored tests in one segment data event.
        offset_min: offset of base offset times, minutes east.
        base_is_utc: whether it says that the base is UTC.
        person: person identifier of person-wise reports; FFFF is unknown.
        tester: who tested: self, professional, laboratory; None does not say.
        status_always: send the device status with each test even when no bit is set.
        asks_for_time: the agent asks to have its clock set.
        settable: the agent lets its clock be set.
        eager: reports begin before the manager has asked who the agent is.
        one_invoke_id: each request carries the same invoke id.
        sent_once: a test that was confirmed is never sent again.
        releases: the agent ends the association when it has nothing (more) to report.
        test_association: everything in the association is a test.
    """

    system_id: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{16}$")] = "0011223344556677"
    config_id: Annotated[int, Field(ge=1, le=0x7FFF)] = 0x4000
    standard_first: Annotated[int, Field(ge=1, le=0x3FFF)] | None = None
    transfer: Transfer = Transfer.LIVE
    form: Form = Form.FIXED
    numbers: Literal["sfloat", "float"] = "sfloat"
    stamp: Stamp = Stamp.ABSOLUTE
    tests_per_report: Count = 1
    entries_per_segment: Count = 20
    entries_per_event: Count = 5
    offset_min: Annotated[int, Field(ge=-840, le=840)] = 0
    base_is_utc: bool = True
    person: Code = 0xFFFF
    tester: Literal["self", "professional", "laboratory"] | None = None
    status_always: bool = False
    asks_for_time: bool = False
    settable: bool = True
    eager: bool = False
    one_invoke_id: bool = False
    sent_once: bool = True
    releases: bool = True
    test_association: bool = False


class FaultKind(StrEnum):
    """What goes wrong."""

    SILENT = "silent"
    """It never asks to associate."""
    STALE_FIRST = "stale_first"
    """An APDU of an earlier association comes before the first one."""
    ASKS_TWICE = "asks_twice"
    """The association request is sent twice, as after a lost answer."""
    LOST_CONFIRMATION = "lost_confirmation"
    """Report `at` is sent again although it was confirmed."""
    BAD_INSIDE = "bad_inside"
    """Report `at` arrives whole, but a length inside does not fit."""
    BAD_OUTSIDE = "bad_outside"
    """In report `at` the lengths around do not fit."""
    ABORTS = "aborts"
    """Instead of report `at` comes an abort; once."""
    BREAKS_SEGMENT = "breaks_segment"
    """Segment data event `at` says that the agent gives up; once."""
    TRY_LATER = "try_later"
    """The first `at` orders to send a segment are answered with: later."""
    NO_ANSWER = "no_answer"
    """Requests are not answered."""
    REFUSES_MDS = "refuses_mds"
    """Asked who it is, it answers with an error."""


class Fault(Part):
    """One fault; `at` counts reports from 1."""

    kind: FaultKind
    at: Annotated[int, Field(ge=1)] = 1
