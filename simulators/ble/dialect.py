"""How a particular meter uses what GHS leaves open, how it is paired, and what goes wrong with it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from simulators.ble.encoding import Length
from simulators.part import Part, Text, WrittenFault

__all__ = ["DIALECTS", "Dialect", "Fault", "FaultKind", "Radio", "Requires", "Security"]

Requires = Literal["none", "encrypted", "authenticated"]
ALL_OPERATORS: Final = (1, 2, 3, 4, 5, 6)


class Dialect(Part):
    """One way to be a Generic Health Sensor.

    Attributes:
        length: what the length of an observation counts.
        form: a test is the INR alone; a compound of INR, PT and Quick; a bundle of numeric observations.
        lots: the strip lot is a TLV of the observation, a string among components or members, or not sent.
        controls: a control has the type of controls, or the type INR and the status "test data", or both.
        errors: a failed test is a device status (discrete), or an INR that is NaN with the status "invalid".
        status_too: a reading off the range (sent as infinity) has the device status beside it, not as ``numeric``.
        stamp: time is local; UTC; UTC with the offset of local time; local with it; a count of ticks; or absent.
        resolution: unit of times.
        source: time source the clock claims.
        old_timeline: so many tests, the oldest, were made before the clock was changed.
        settable: Current Elapsed Time can be written.
        rejects_sources: time sources too poor for this meter.
        identifies: an observation has an identifier, the same live and stored.
        user: the meter's own number of the patient.
        tester: who tested: a supplemental code.
        measurement_status: bits that each observation has set.
        duration_s: how long each test took.
        indicates: observations are indicated; else they are notified, and nobody confirms.
        operators: operators that the record access control point knows; others are answered with "not supported".
        segment_octets: octets of a segment; None: as many as the MTU allows.
        mtu: largest ATT MTU the meter agrees to.
        version: of the specialization.
    """

    length: Length = Length.REST
    form: Literal["numeric", "compound", "bundle"] = "compound"
    lots: Literal["tlv", "member", "none"] = "tlv"
    controls: Literal["type", "status", "both"] = "type"
    errors: Literal["status", "nan"] = "status"
    status_too: bool = False
    stamp: Literal["local", "utc", "utc_offset", "local_offset", "ticks", "none"] = "utc_offset"
    resolution: Literal["1s", "100ms", "1ms", "100us"] = "1s"
    source: Annotated[int, Field(ge=0, le=255)] = 4
    old_timeline: Annotated[int, Field(ge=0)] = 0
    settable: bool = True
    rejects_sources: tuple[int, ...] = ()
    identifies: bool = False
    user: Annotated[int, Field(ge=0, le=255)] | None = None
    tester: Literal["self", "professional", "laboratory"] | None = None
    measurement_status: Annotated[int, Field(ge=0, le=0xFFFF)] = 0
    duration_s: Text | None = None
    indicates: bool = True
    operators: tuple[int, ...] = ALL_OPERATORS
    segment_octets: Annotated[int, Field(ge=2, le=512)] | None = None
    mtu: Annotated[int, Field(ge=23, le=517)] = 247
    version: Annotated[int, Field(ge=0, le=255)] = 2


ST: Final = Dialect()
"""Lengths as the STM32WBA counts them, every operator."""
PHILIPS: Final = Dialect(length=Length.TOTAL, operators=(1, 3), form="numeric", stamp="utc_offset")
"""Lengths and operators as the server of philips-labs has them; INR alone."""
DIALECTS: Final = {"st": ST, "philips": PHILIPS}


class Security(Part):
    """How the meter is paired.

    Attributes:
        requires: what a link needs before the meter serves observations or time.
        input_output: the meter shows a passkey that the person types into the hub (display); the person types into
            the meter what the hub shows (keyboard); both show a number to compare (comparison); or nothing.
        passkey: always this one; None: a new one each time.
        refuses_downgrade: pairing without authentication is refused where authentication is required. Without
            this the meter accepts, as careless stacks do, and serves nothing all the same.
    """

    requires: Requires = "authenticated"
    input_output: Literal["display", "keyboard", "comparison", "nothing"] = "display"
    passkey: Annotated[int, Field(ge=0, le=999_999)] | None = None
    refuses_downgrade: bool = True

    @model_validator(mode="after")
    def _can_authenticate(self) -> Self:
        if self.requires == "authenticated" and self.input_output == "nothing":
            raise ValueError("a meter without display and keys cannot authenticate; let it require 'encrypted'")
        return self


class Radio(Part):
    """Who the meter is on the air.

    Attributes:
        address: static random address; None: made from the meter's serial number.
        name: complete local name; None: model and the end of the serial number.
        announces: specializations in the service data (4114 is INR); none: no service data.
        private: the address is shown to bonded hubs only; others see private addresses that change.
        awake_s: the meter advertises so long after it was switched on and after each test, then falls silent; None:
            it never does.
    """

    address: Annotated[str, Field(pattern=r"^[C-F][0-9A-F](:[0-9A-F]{2}){5}$")] | None = None
    name: Text | None = None
    announces: tuple[int, ...] = (0x1012,)
    private: bool = False
    awake_s: Annotated[float, Field(gt=0)] | None = None


class FaultKind(StrEnum):
    """What goes wrong. Segments and requests are counted from 1 over all connections; each fault happens once."""

    DROP = "drop"
    """The link is lost instead of segment `Fault.at`."""
    DROP_AFTER = "drop_after"
    """Segment `Fault.at` leaves and the link is lost before anything else does."""
    LOSE = "lose"
    """Segment `Fault.at` never leaves."""
    DUPLICATE = "duplicate"
    """It leaves twice."""
    REORDER = "reorder"
    """It leaves after the one that follows it."""
    WRONG_COUNTER = "wrong_counter"
    """Its rolling counter is wrong."""
    SLOW = "slow"
    """`Fault.seconds` pass before it."""
    BAD_LENGTH = "bad_length"
    """Observation `Fault.at` arrives whole, but its length fits neither convention."""
    BUSY = "busy"
    """The first `Fault.at` requests at the record access control point are answered with "busy"."""
    SILENT = "silent"
    """Request `Fault.at` is never answered."""
    NOT_COMPLETED = "not_completed"
    """The report of request `Fault.at` ends after its first record with "not completed"."""
    WRONG_COUNT = "wrong_count"
    """It claims one record more than were sent."""
    ABORT_FAILS = "abort_fails"
    """Request `Fault.at`, an abort, is answered with "abort unsuccessful"; the report goes on."""
    BOND_LOST = "bond_lost"
    """Before connection `Fault.at` the meter forgets its bonds."""


class Fault(WrittenFault):
    """One fault, for example ``drop:at=5`` or ``slow:at=2,seconds=0.5``."""

    kind: FaultKind
    at: Annotated[int, Field(ge=1)] = 1
    seconds: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.seconds is not None) != (self.kind is FaultKind.SLOW):
            raise ValueError("slow, and only slow, needs seconds")
        return self
