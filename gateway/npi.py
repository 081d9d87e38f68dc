"""The National Provider Identifier."""

from __future__ import annotations

import re

__all__ = ["checked_npi"]


def checked_npi(text: str | None) -> str | None:
    """Ten digits whose check digit is Luhn's over ``80840`` and the number (CMS); None stays None.

    Raises:
        ValueError: it is none.
    """
    if text is None:
        return None
    digits = [int(digit) for digit in "80840" + text] if re.fullmatch(r"[0-9]{10}", text) else [1]
    doubled = [digit if index % 2 == 0 else sum(divmod(2 * digit, 10)) for index, digit in enumerate(digits[::-1])]
    if sum(doubled) % 10:
        raise ValueError("is no National Provider Identifier (its check digit is wrong)")
    return text
