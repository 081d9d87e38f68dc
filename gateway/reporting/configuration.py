"""How reports leave for the treating providers: the ``[delivery]`` section of server.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from gateway.configuration import Section

__all__ = ["Delivery", "Supplier"]

Name = Annotated[str, StringConstraints(min_length=1, max_length=180)]
Oid = Annotated[str, StringConstraints(pattern=r"^[0-2](\.(0|[1-9]\d*))+$", max_length=199)]


class Supplier(Section):
    """Who reports. These names and numbers stand in every message; agree them with each receiver."""

    name: Name = "Home INR service"
    npi: Annotated[str, StringConstraints(pattern=r"^\d{10}$")] | None = None
    """National Provider Identifier of the supplier, ten digits."""
    kind: Literal["idtf", "physician", "hospital"] | None = None
    """As what it bills: "idtf", "physician" or "hospital". An IDTF cannot bill G0250."""
    application: Name = "INR-GATEWAY"
    """Sending application (HL7 MSH-3) and the authority that gives out our result ids (ORC-3, OBR-3)."""
    application_oid: Oid | None = None
    facility: Name = "HOME-INR"
    """Sending facility (HL7 MSH-4)."""
    facility_oid: Oid | None = None


class Delivery(Section):
    """Time-outs, back-off and identity of the sender. The defaults suit a receiver on the same continent."""

    supplier: Supplier = Supplier()
    processing_id: Literal["P", "T"] = "P"
    """What a production store writes into HL7 MSH-11. A rig always writes T, whatever stands here."""
    secrets: Path | None = None
    """Folder of the destinations' keys and passwords, one file each; for the server's user alone (mode 0700)."""
    poll_s: Annotated[float, Field(ge=0.05, le=10)] = 0.25
    """How often the store is asked whether another process changed it."""
    connect_timeout_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    answer_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """A receiver that has not acknowledged by then may or may not have the report: it is sent again."""
    retry_first_s: Annotated[float, Field(gt=0, le=3600)] = 1.0
    retry_most_s: Annotated[float, Field(gt=0, le=86400)] = 300.0
    """Back-off doubles from the first wait to this one; each wait is shortened at random by up to one half."""
    postponed_most: Annotated[int, Field(ge=1, le=1000)] = 10
    """After so many answers of "not now" (HL7 error 206 or 207) a report waits for a person."""
    retry_after_most_s: Annotated[float, Field(ge=0, le=604_800)] = 86_400.0
    """How long a far end may ask to be left alone (HTTP Retry-After); what it asks beyond is not granted."""
    breaker_after: Annotated[int, Field(ge=1, le=1000)] = 3
    """After so many failures in a row a destination's breaker opens: it is then shown as down, and only tried."""
    receipt_first_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """A receipt that comes later (a partner's receipt file) is looked for after this time, then less often."""
    receipt_most_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0
    receipt_wait_s: Annotated[float, Field(gt=0, le=31_536_000)] = 604_800.0
    """After this time it is not looked for any more, and the report waits for a person's word."""
    answer_most_octets: Annotated[int, Field(ge=256, le=16_777_216)] = 65_536
    """A longer acknowledgement is cut off and counts as none."""

    @model_validator(mode="after")
    def _waits_grow(self) -> Self:
        if self.retry_first_s > self.retry_most_s:
            raise ValueError("retry_first_s must not be above retry_most_s")
        return self
