"""Base of everything a scenario describes."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

__all__ = ["Part", "Text"]


class Part(BaseModel):
    """A described thing: immutable, and an unknown key is an error, because a misspelt one would do nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _one_octet_each(text: str) -> str:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {text[error.start]!r} is outside ISO 8859-1, the character set of ASTM E1394; use another"
        ) from None
    return text


Text = Annotated[str, StringConstraints(max_length=500), AfterValidator(_one_octet_each)]
"""What a meter may show or send: ISO 8859-1."""
