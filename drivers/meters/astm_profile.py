"""How a meter that speaks ASTM fills the records: the profile of `drivers.meters.astm`, read and checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    StrictBool,
    StrictInt,
)

from drivers.meters.profile import Profile, Table, Zone
from drivers.protocols.astm.link import LinkSettings
from drivers.protocols.astm.paths import Condition, Place

__all__ = ["AstmProfile"]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _condition(value: object) -> object:
    return Condition.parse(value) if isinstance(value, str) else value


def _place(value: object) -> object:
    return Place.parse(value) if isinstance(value, str) else value


def _about_result(condition: Condition) -> Condition:
    if condition.type != "R":
        raise ValueError("a test is recognised by its R record; write a condition like R.3.4=INR")
    return condition


def _about_header(place: Place) -> Place:
    if place.spot.type != "H":
        raise ValueError("the meter is identified by its header; write a place like H.5.3, or =NAME for a constant")
    return place


def _no_patient_marks(values: frozenset[str]) -> frozenset[str]:
    if values & {"Q", "T", "D"}:
        raise ValueError("Q, T and D mean control, training and debugging, and never a patient's result")
    return values


ACondition = Annotated[InstanceOf[Condition], BeforeValidator(_condition)]
ATest = Annotated[ACondition, AfterValidator(_about_result)]
APlace = Annotated[InstanceOf[Place], BeforeValidator(_place)]
AHeaderPlace = Annotated[APlace, AfterValidator(_about_header)]
Conditions = Annotated[tuple[ACondition, ...], BeforeValidator(_listed)]
Tests = Annotated[tuple[ATest, ...], BeforeValidator(_listed)]
Places = Annotated[tuple[APlace, ...], BeforeValidator(_listed)]


class Link(Table):
    """``[link]``: how the meter keeps to E1381."""

    checksum: Literal["strict", "unpadded"] = "strict"
    max_frame_octets: Annotated[StrictInt, Field(ge=240, le=16_777_216)] = LinkSettings().max_frame_octets
    max_message_octets: Annotated[StrictInt, Field(ge=1024, le=67_108_864)] = LinkSettings().max_message_octets
    receiver_timeout_s: Annotated[float, Field(ge=1, le=3600)] = LinkSettings().receiver_timeout_s
    trailer_wait_s: Annotated[float, Field(ge=0, le=5)] = LinkSettings().trailer_wait_s
    reply_within_s: Annotated[float, Field(gt=0, le=3600)] = LinkSettings().reply_within_s

    @property
    def settings(self) -> LinkSettings:
        """The same for the session."""
        return LinkSettings(
            max_frame_octets=self.max_frame_octets,
            max_message_octets=self.max_message_octets,
            unpadded_checksum=self.checksum == "unpadded",
            receiver_timeout_s=self.receiver_timeout_s,
            trailer_wait_s=self.trailer_wait_s,
            reply_within_s=self.reply_within_s,
        )


class Serial(Table):
    """``[serial]``: parameters of the port."""

    baudrate: Annotated[StrictInt, Field(ge=50, le=4_000_000)] = 9600
    bytesize: Literal[5, 6, 7, 8] = 8
    parity: Literal["N", "E", "O", "M", "S"] = "N"
    stopbits: Literal[1, 2] = 1
    xonxoff: StrictBool = False
    rtscts: StrictBool = False
    dsrdtr: StrictBool = False


class Meter(Table):
    """``[meter]``: where the meter names itself and shows its clock."""

    vendor: AHeaderPlace | None = None
    model: AHeaderPlace = Place.parse("H.5.1")
    serial: AHeaderPlace | None = None
    firmware: AHeaderPlace | None = None
    clock: AHeaderPlace = Place.parse("H.14")


class Quantities(Table):
    """``[tests]``: which R records are which quantity."""

    inr: Annotated[Tests, Field(min_length=1)]
    pt_seconds: Tests = ()
    quick_percent: Tests = ()

    @property
    def named(self) -> str:
        """How INR is known, for messages."""
        return " or ".join(str(condition) for condition in self.inr)


class Kinds(Table):
    """``[kind]``: what marks records that are no patient's result, besides what the standard itself says."""

    control: Conditions = ()
    calibration: Conditions = ()
    test: Conditions = ()
    error: Conditions = ()
    patient_processing: Annotated[frozenset[str], AfterValidator(_no_patient_marks)] = frozenset({"", "P"})


class Fields(Table):
    """``[record]``: where the parts of a record stand; the first place that holds something counts."""

    time: Places = (Place.parse("R.13"), Place.parse("R.12"))
    number: Places = (Place.parse("O.3"),)
    strip_lot: Places = ()
    control_lot: Places = ()
    control_level: Places = ()
    operator: Places = (Place.parse("R.11"),)
    patient: Places = (Place.parse("P.4"), Place.parse("P.3"))
    error_code: Places = ()


class AstmProfile(Profile):
    """A whole profile; its keys are explained in `drivers.meters.astm`."""

    driver: Literal["astm"] = "astm"
    zone: Zone | None = None
    link: Link = Link()
    serial: Serial = Serial()
    meter: Meter = Meter()
    tests: Quantities
    kind: Kinds = Kinds()
    record: Fields = Fields()
