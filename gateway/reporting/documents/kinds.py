"""The kinds of documents. The name of a kind is what the command line, CSV files and TOML tables call it.

A validator of a whole row says what is wrong and, after a semicolon, what to do.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.npi import checked_npi
from gateway.reporting.documents.columns import (
    Amount,
    Codes,
    Day,
    Id,
    Moment,
    Name,
    OptionalDay,
    Payer,
    ResultNumber,
    Text,
)
from gateway.reporting.units.model import Category, EventType

__all__ = [
    "KINDS",
    "Abn",
    "Anticoagulant",
    "Attestation",
    "BilledService",
    "Contact",
    "Coverage",
    "Diagnosis",
    "EarlyReason",
    "Eligibility",
    "Event",
    "ExtraOrder",
    "Infusion",
    "OfResult",
    "Order",
    "Paper",
    "Review",
    "Span",
    "SupplyContact",
    "SupplyDelivery",
    "SupplyWaste",
    "Training",
    "Valve",
    "Warfarin",
]


class Paper(BaseModel):
    """Base: one patient; no unknown columns, no blanks around values.

    Attributes:
        NOT_LATER: columns that speak of what has happened, so that they cannot lie in the future.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, populate_by_name=True)
    NOT_LATER: ClassVar[tuple[str, ...]] = ()

    patient: Id

    def about_result(self) -> int | None:
        """Number of the one result that it speaks of, if any."""
        return None

    def body(self) -> dict[str, Any]:
        """What is kept: plain JSON values, without the patient, who is a column, and what is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude={"patient"}, exclude_none=True)


class OfResult(Paper):
    """Base of what speaks of one result; of each such kind a result has one at most."""

    result: ResultNumber

    def about_result(self) -> int | None:
        """Number of the result that it speaks of."""
        return self.result


def _in_order(first: dt.date | None, last: dt.date | None, names: tuple[str, str]) -> None:
    if first is not None and last is not None and last < first:
        raise ValueError(f"{names[1]} ({last}) lies before {names[0]} ({first}); correct one of them")


class Order(Paper):
    """A practitioner's signed order for home testing (42 CFR 410.32(a)); it never reaches back."""

    NOT_LATER = ("signed_on",)

    signed_on: Annotated[
        Day,
        Field(description="the date of the practitioner's signature, like 2026-03-14; an unsigned order is none"),
    ]
    expires_on: OptionalDay = None
    interval_days: Annotated[
        int | None, Field(ge=1, le=90, description="days between tests as ordered, 1 to 90, or leave it out")
    ] = None
    practitioner: Name
    npi: Annotated[
        str | None,
        AfterValidator(checked_npi),
        Field(description="the ten digits of the practitioner's NPI, which claims name, or leave it out"),
    ] = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        _in_order(self.signed_on, self.expires_on, ("signed_on", "expires_on"))
        return self


class Training(Paper):
    """Face-to-face training, with what the patient was seen to be able to do (descriptors of G0248 and 93792)."""

    NOT_LATER = ("date",)

    date: Day
    code: Annotated[Literal["G0248", "93792"], Field(description="G0248 or 93792")]
    trainer: Name
    able_to_test: Annotated[bool, Field(description="true or false")]
    able_to_report: Annotated[bool, Field(description="true or false")]


class Span(Paper):
    """From the first to the last day, both included; without an end it goes on."""

    start: Day
    end: OptionalDay = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        _in_order(self.start, self.end, ("start", "end"))
        return self


class Warfarin(Span):
    """A time on warfarin."""

    NOT_LATER = ("start",)


class Anticoagulant(Span):
    """A time on another anticoagulant; unless it says otherwise, in the place of warfarin."""

    drug: Annotated[
        str, Field(pattern=r"^[a-z][a-z -]{0,39}$", description="a drug in small letters, like apixaban")
    ]
    beside_warfarin: Annotated[bool, Field(description="true when warfarin goes on beside it, else false")] = False

    @model_validator(mode="after")
    def _is_another(self) -> Self:
        if self.drug == "warfarin":
            raise ValueError("drug is warfarin; record it as kind warfarin")
        return self


class Infusion(Span):
    """Home infusion of heparin (S9336). Heparin can disturb the INR: it gives a notice, nothing more."""


class Diagnosis(Paper):
    """Diagnoses, from when they hold, and where that is written."""

    codes: Codes
    from_: Annotated[Day, Field(alias="from")]
    evidence: Text


class Valve(Paper):
    """What kind of heart valve the patient has; the newest paper holds."""

    type: Annotated[
        Literal[
            "mechanical",
            "porcine",
            "bovine",
            "bioprosthetic",
            "xenogenic",
            "tissue",
            "homograft",
            "other",
            "unknown",
        ],
        Field(
            description="mechanical, porcine, bovine, bioprosthetic, xenogenic, tissue, homograft, other or unknown"
        ),
    ]
    evidence: Annotated[Text | None, Field(description="where it is written, or leave it out")] = None


class Coverage(Paper):
    """Who pays. A coverage without `to` ends when the next one begins, or does not end."""

    payer: Payer
    mac: Annotated[
        str, Field(pattern=r"^[a-z0-9_]{0,40}$", description="the Medicare contractor, like noridian")
    ] = ""
    from_: Annotated[Day, Field(alias="from")]
    to: Annotated[
        OptionalDay,
        Field(description="the last covered day, like 2026-03-14, only where it is known: it closes the tally"),
    ] = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        _in_order(self.from_, self.to, ("from", "to"))
        return self


class Eligibility(Paper):
    """What a payer answered when it was asked who covers the patient (X12 271, or a portal)."""

    NOT_LATER = ("checked_on", "died_on")

    checked_on: Day
    payer: Payer
    from_: Annotated[
        OptionalDay, Field(alias="from", description="the first day with this payer, like 2026-03-14, if answered")
    ] = None
    died_on: Annotated[
        OptionalDay, Field(description="the date of death that the payer has, like 2026-03-14, if any")
    ] = None
    reference: Annotated[Text | None, Field(description="trace number of the answer, or leave it out")] = None


class Contact(Paper):
    """A call or message to the patient about testing."""

    NOT_LATER = ("date",)

    date: Day
    reached: Annotated[bool, Field(description="true or false: whether the patient was reached")]
    note: Annotated[Text | None, Field(description="what was said, or leave it out")] = None


class Event(Paper):
    """What ends or pauses the service. ``ma_transfer`` is dated on its first day."""

    type: Annotated[EventType, Field(description="withdrawn, death, ma_transfer or hold")]
    date: Day


class EarlyReason(OfResult):
    """Why a test was taken early or besides, as the clinical record says."""

    NOT_LATER = ("documented_at",)

    category: Annotated[
        Category,
        Field(
            description="travel, personal, holiday, illness, procedure_scheduled, inadvertent, repeat_abnormal "
            "or provider_requested"
        ),
    ]
    text: Text
    author: Name
    documented_at: Moment
    weekly_test_moved: Annotated[
        bool | None,
        Field(description="true or false: whether the text says that the weekly test was moved; or leave it out"),
    ] = None


class ExtraOrder(OfResult):
    """A written order for an additional test."""

    NOT_LATER = ("signed_on",)

    signed_on: Annotated[
        Day,
        Field(description="the date of the practitioner's signature, like 2026-03-14; an unsigned order is none"),
    ]
    practitioner: Name


class Abn(OfResult):
    """An advance beneficiary notice that the patient signed for one test."""

    NOT_LATER = ("signed_at",)

    signed_at: Moment


class Review(OfResult):
    """A practitioner's review and interpretation of a result (G0250)."""

    NOT_LATER = ("reviewed_at",)

    reviewed_at: Moment
    practitioner: Name


class Attestation(OfResult):
    """The statement by which somebody stands for a value that no meter sent."""

    NOT_LATER = ("attested_at",)

    statement: Text
    attested_by: Name
    attested_at: Moment


class BilledService(Paper):
    """A line beside the units that was billed for the patient, by ourselves or by somebody else (rules R32, R33).

    A training that we gave is a paper of kind training; a line for the same session is no second one.
    """

    NOT_LATER = ("date",)

    date: Annotated[Day, Field(description="its date of service, like 2026-03-14")]
    code: Annotated[Literal["G0248", "93792", "93793"], Field(description="G0248, 93792 or 93793")]
    billed_by: Annotated[Name, Field(description="who billed it, a name of 1 to 120 characters")]
    units: Annotated[int, Field(ge=1, le=99, description="the billed quantity, 1 to 99, or leave it out")] = 1
    result: Annotated[
        ResultNumber | None,
        Field(description="the number of the result that a 93793 speaks of, or leave it out"),
    ] = None
    same_day_visit: Annotated[
        bool, Field(description="true when a visit is billed beside a 93793 on that day, else false")
    ] = False
    reference: Annotated[Text | None, Field(description="claim number or where it is written, or leave it out")] = (
        None
    )

    def about_result(self) -> int | None:
        """Number of the result that a 93793 manages, where that is known."""
        return self.result

    @model_validator(mode="after")
    def _only_management_is_of_a_result(self) -> Self:
        if self.code != "93793" and self.result is not None:
            raise ValueError(f"result is for 93793 alone, and this is {self.code}; leave it out")
        if self.code != "93793" and self.same_day_visit:
            raise ValueError(f"same_day_visit is for 93793 alone, and this is {self.code}; leave it out")
        return self


class SupplyDelivery(Paper):
    """Strips that reached the patient, with the carrier's confirmation or the signed receipt."""

    NOT_LATER = ("date",)

    date: Day
    strips: Amount
    proof: Annotated[
        Text | None, Field(description="the carrier's confirmation or the signed receipt, or leave it out")
    ] = None


class SupplyContact(Paper):
    """The patient was asked about a refill."""

    NOT_LATER = ("date",)

    date: Day
    note: Annotated[Text | None, Field(description="what was said, or leave it out")] = None


class SupplyWaste(Paper):
    """Strips that were lost, spoilt or out of date."""

    NOT_LATER = ("date",)

    date: Day
    strips: Amount
    reason: Text


KINDS: dict[str, type[Paper]] = {
    "order": Order,
    "training": Training,
    "warfarin": Warfarin,
    "anticoagulant": Anticoagulant,
    "infusion": Infusion,
    "diagnosis": Diagnosis,
    "valve": Valve,
    "coverage": Coverage,
    "eligibility": Eligibility,
    "contact": Contact,
    "event": Event,
    "early_reason": EarlyReason,
    "extra_order": ExtraOrder,
    "abn": Abn,
    "review": Review,
    "attestation": Attestation,
    "billed_service": BilledService,
    "supply_delivery": SupplyDelivery,
    "supply_contact": SupplyContact,
    "supply_waste": SupplyWaste,
}
"""By name."""
