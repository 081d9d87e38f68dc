"""Why a unit cannot be signed, exported, voided or posted."""

from __future__ import annotations

__all__ = ["ClaimError", "ImportRefusedError", "PriceError"]


class ClaimError(Exception):
    """The act is refused and nothing has changed; the message says why and what to do."""


class PriceError(ClaimError):
    """No price, or no price table; there is no default charge."""


class ImportRefusedError(ClaimError):
    """Rows of a file are refused; nothing of the file was posted. One line for each problem."""
