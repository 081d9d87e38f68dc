"""Receipts: what the server tells the hub once a reading is committed in its store."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from gateway.result import Frozen
from gateway.wire.reading import HubId, Number

RECEIPTS_SCHEMA: Final = "inr-gateway/receipts/1"
EPOCH_SCHEMA: Final = "inr-gateway/epoch/1"
STATUS_SCHEMA: Final = "inr-gateway/hub-status/1"
STATUS_AT_LEAST_EVERY_S: Final = 3600.0
"""A connected hub says so at least as often, even when nothing has changed, so that silence means something."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
EpochId = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Verdict(StrEnum):
    """What became of a reading at the server. Both mean: it is committed there and will not be lost."""

    STORED = "stored"
    QUARANTINED = "quarantined"


class Receipt(Frozen):
    """One reading, named by the topic it came on, the digest of the octets that came, and the verdict."""

    journal: UUID
    number: Number
    sha256: Sha256
    verdict: Verdict


class Receipts(Frozen):
    """The payload on a hub's receipt topic: the receipts of one commit.

    Attributes:
        epoch: the store's epoch. A store restored from a backup has a new one.
    """

    schema_: Literal["inr-gateway/receipts/1"] = Field(default=RECEIPTS_SCHEMA, alias="schema")
    epoch: EpochId
    receipts: tuple[Receipt, ...]


class HighWater(Frozen):
    """Up to and including ``number``, every reading of this journal is in the store."""

    journal: UUID
    number: Annotated[int, Field(ge=0)]


class Epoch(Frozen):
    """Retained per hub: the store's epoch and what it holds of the hub's journals.

    A hub that sees an epoch for the first time publishes again whatever lies above the mark of its journal, with or
    without an older receipt. A journal that is not listed has the mark 0.
    """

    schema_: Literal["inr-gateway/epoch/1"] = Field(default=EPOCH_SCHEMA, alias="schema")
    epoch: EpochId
    marks: tuple[HighWater, ...]


class HubStatus(Frozen):
    """Retained birth (``online`` true) and last will (``online`` false) of a hub.

    Attributes:
        waiting: readings in the journal that have no receipt.
        alarms: short machine-readable words, for example ``journal_set_aside``, ``clock_not_synchronised``.
    """

    schema_: Literal["inr-gateway/hub-status/1"] = Field(default=STATUS_SCHEMA, alias="schema")
    hub: HubId
    online: bool
    software: str
    journal: UUID | None = None
    epoch: EpochId | None = None
    readings: int = 0
    waiting: int = 0
    drivers: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    since: AwareDatetime | None = None
