"""Base of everything a scenario describes."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

__all__ = ["Part", "Text", "WrittenFault"]


class Part(BaseModel):
    """A described thing: immutable, and an unknown key is an error, because a misspelt one would do nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class WrittenFault(Part):
    """A fault that may also be given on a command line."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``KIND:NAME=VALUE,NAME=VALUE``.

        Raises:
            ValueError: it is none; the message says what the kind needs.
        """
        kind, _, rest = text.partition(":")
        pairs = [part.partition("=") for part in rest.split(",") if part]
        try:
            return cls.model_validate({"kind": kind, **{name.strip(): value.strip() for name, _, value in pairs}})
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or kind}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise ValueError(f"fault {text!r}: {problems}") from None


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
