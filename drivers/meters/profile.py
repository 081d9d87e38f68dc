"""What the profiles of all drivers have in common: no unknown keys, a zone, and every mistake named at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

__all__ = ["Profile", "Table", "Zone"]


def _zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError):
        raise ValueError("no IANA time zone; write one like Europe/Berlin") from None


Zone = Annotated[str, AfterValidator(_zone)]


class Table(BaseModel):
    """Base of a profile's tables: a misspelt key is an error, because it would be silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Profile(Table):
    """Base of whole profiles; each adds ``driver`` and its tables."""

    description: str = ""

    @classmethod
    def read(cls, content: Mapping[str, object]) -> Self:
        """Check a profile's content, as TOML gives it.

        Raises:
            ValueError: a key is unknown, missing or unusable; every such key is named.
        """
        try:
            return cls.model_validate(dict(content))
        except ValidationError as error:
            problems = [
                f"{'.'.join(map(str, one['loc'])) or '(whole profile)'}: {one['msg'].removeprefix('Value error, ')}"
                for one in error.errors(include_url=False, include_input=False)
            ]
            raise ValueError("; ".join(problems)) from None
