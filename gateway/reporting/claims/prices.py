"""The price table: what a whole unit is charged at. It has no default: a charge is the supplier's own decision.

A file of its own beside server.toml, ``prices.toml``:

    [[price]]
    code = "G0249"
    effective_from = 2026-01-01
    cents = 12500
    # payer = "medicare_ffs"          only for this payer; without it, for every payer that has no price of its own
    # effective_to = 2026-12-31

    # [professional]
    # place_of_service = "12"         SV105, where it differs from the claim's own
    # [institutional]
    # revenue_code = "0920"           SV201; without it no lines for 837I are written
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, StringConstraints, model_validator

from gateway.configuration import ConfigurationError, Section, load
from gateway.reporting.claims.errors import PriceError

__all__ = ["Institutional", "Price", "PriceTable", "Prices", "Professional", "read_prices"]


class Price(Section):
    """Charge for a whole unit, in cents, by date of service."""

    code: Literal["G0249", "G0250"]
    cents: Annotated[int, Field(gt=0, le=100_000_00, strict=True)]
    effective_from: date
    effective_to: date | None = None
    payer: Annotated[str, StringConstraints(min_length=1)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.effective_to is not None and self.effective_to < self.effective_from:
            raise ValueError("effective_to lies before effective_from; correct one of them")
        return self

    def covers(self, code: str, payer: str, on: date) -> bool:
        """Whether it says what `code` costs `payer` on a date of service."""
        within = self.effective_from <= on and (self.effective_to is None or on <= self.effective_to)
        return self.code == code and within and self.payer in (None, payer)


class Professional(Section):
    """What a professional service line says beside the unit."""

    place_of_service: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")] | None = None


class Institutional(Section):
    """What an institutional service line says beside the unit."""

    revenue_code: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}$")]


class PriceTable(Section):
    """The whole file."""

    price: Annotated[tuple[Price, ...], Field(min_length=1)]
    professional: Professional = Professional()
    institutional: Institutional | None = None


class Prices(NamedTuple):
    """A price table and the file it stands in, for messages."""

    table: PriceTable
    file: str

    def full_cents(self, code: str, payer: str, on: date) -> int:
        """Charge for a whole unit; a price for the payer goes before one for all.

        Raises:
            PriceError: there is none, or more than one of equal rank.
        """
        found = [price for price in self.table.price if price.covers(code, payer, on)]
        found = [price for price in found if price.payer is not None] or found
        if len(found) == 1:
            return found[0].cents
        if not found:
            raise PriceError(
                f"{self.file}: no price for {code}, payer {payer}, date of service {on}; add a [[price]] with "
                "code, cents and effective_from"
            )
        raise PriceError(
            f"{self.file}: {len(found)} prices for {code}, payer {payer}, date of service {on}; end one of them "
            "with effective_to"
        )


def read_prices(path: Path) -> Prices:
    """Read a price table.

    Raises:
        PriceError: there is none, or it cannot be used; the message says what a table looks like.
    """
    if not path.is_file():
        raise PriceError(
            f"{path}: there is no price table, and a charge has no default; write one: [[price]] with code = "
            '"G0249", cents = (charge for a whole unit) and effective_from = (a date), or name another file with '
            "--prices"
        )
    try:
        return Prices(load(path, PriceTable), str(path))
    except ConfigurationError as error:
        raise PriceError(str(error)) from error
