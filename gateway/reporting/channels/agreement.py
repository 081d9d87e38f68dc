"""A provider's signed word that a channel's weaker evidence is their agreed way of being told."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from gateway.configuration import Section
from gateway.reporting.channels.base import Outcome

__all__ = ["Agreement", "kept"]


class Agreement(Section):
    """Who signed on the provider's side, and when."""

    by: Annotated[str, Field(min_length=1, max_length=200, description="name of the person who signed")]
    on: Annotated[date, Field(description="the day, like 2026-03-14")]


def kept(agreement: Agreement | None, what: str) -> tuple[Outcome, str]:
    """Outcome and words for a report that the far end keeps, where nothing says that the application has it.

    With an agreement that ends the delivery; the evidence stays what it is, ``accepted``.
    """
    if agreement is None:
        return Outcome.ACCEPTED, what
    return Outcome.DELIVERED, f"{what}; that is the agreed way ({agreement.by}, {agreement.on})"
