"""A reading: one record as one hub read it once, as it travels to the server.

Its name is (journal, number); the hub writes the payload's octets into its journal once and publishes those same
octets until it holds a receipt for their SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from gateway.result import DeviceTime, Frozen, Meter, Result

READING_SCHEMA: Final = "inr-gateway/reading/1"

HubId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Number = Annotated[int, Field(ge=1, le=999_999_999_999_999_999)]
"""At most 18 digits: what a topic names and a database column holds."""
MAX_PAYLOAD_OCTETS = 262_144
"""A larger payload is not decoded; the server quarantines it with its first octets and its digest."""


class Origin(StrEnum):
    """Where a result comes from. A rig's registration forces ``simulator``."""

    METER = "meter"
    PERSON = "person"
    SIMULATOR = "simulator"
    REPLAY = "replay"


class HubClock(Frozen):
    """The hub's own clock when the meter was read.

    Attributes:
        synchronised: whether the operating system reported it as disciplined by a time server; None if unknown.
        boot_id: changes with every boot, so that monotonic times of one boot can be compared.
        monotonic_s: seconds of the monotonic clock at ``read_at``.
    """

    synchronised: bool | None
    boot_id: str
    monotonic_s: float


class MeterClockReading(Frozen):
    """The meter's clock beside the hub's: the pair from which its error follows."""

    device_time: DeviceTime
    hub_time: AwareDatetime


class Repetition(Frozen):
    """What aligning with the journal's last read of a meter without a running clock gave.

    Attributes:
        of: number of the earlier reading (same journal) that this one repeats; None for a new test.
        maybe: numbers of earlier readings that it may repeat or not; a person decides.
    """

    of: Number | None = None
    maybe: tuple[Number, ...] = ()


class Fault(Frozen):
    """Why octets that arrived could not become a result."""

    reason: str
    detail: str
    offset: int | None = None


class Reading(Frozen):
    """The payload of one MQTT message from hub to server, schema ``inr-gateway/reading/1``.

    Exactly one of ``result`` and ``fault`` is present. ``raw`` holds the original octets (base64) either way.

    Attributes:
        port: name of the attachment in the hub's configuration.
        message, position: which message of the journal, and which record of it (from 0).
        zone: IANA name of the zone in which the meter is used, by the hub's configuration.
        repetition: only for meters without a running clock.
    """

    schema_: Literal["inr-gateway/reading/1"] = Field(default=READING_SCHEMA, alias="schema")
    journal: UUID
    number: Number
    hub: HubId
    origin: Origin
    software: str
    driver: str
    port: str
    message: Number
    position: Annotated[int, Field(ge=0, le=999_999_999_999_999_999)]
    read_at: AwareDatetime
    hub_clock: HubClock
    meter_clock: MeterClockReading | None
    zone: str
    meter: Meter | None
    result: Result | None
    fault: Fault | None
    repetition: Repetition | None = None
    raw: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]*={0,2}$")]

    @model_validator(mode="after")
    def _result_or_fault(self) -> Self:
        if (self.result is None) == (self.fault is None):
            raise ValueError("a reading carries either a result or a fault, and not both")
        return self

    @property
    def octets(self) -> bytes:
        """The original octets of the record."""
        return base64.b64decode(self.raw)


def encode(reading: Reading) -> bytes:
    """The payload's octets; written once into the journal and never made again."""
    return reading.model_dump_json(by_alias=True).encode()


def digest(payload: bytes) -> str:
    """SHA-256 of a payload as 64 lower-case hexadecimal digits, as it stands in receipts."""
    return hashlib.sha256(payload).hexdigest()
