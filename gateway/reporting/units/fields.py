"""Reading a mapping field by field, so that every refusal names the place."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from gateway.reporting.units.errors import BadCodeError, BadValueError

T = TypeVar("T", bound=str)


class Fields:
    """One mapping and where it stands. Methods raise `BadValueError` or `BadCodeError` with the field's place.

    After reading, `unread` lists the keys nobody asked for: a misspelt field must not pass in silence.
    """

    __slots__ = ("_inner", "_mapping", "_place", "_read")

    def __init__(self, value: object, place: str = "") -> None:
        if not isinstance(value, Mapping):
            raise BadValueError(place or "input", f"expected an object, found {_show(value)}", "give named fields")
        self._mapping: Mapping[str, object] = value
        self._place = place
        self._read: set[str] = set()
        self._inner: dict[str, Fields] = {}

    def place(self, key: str) -> str:
        """Where `key` stands, for example ``tests[2].kind``."""
        return f"{self._place}.{key}" if self._place else key

    def get(self, key: str) -> object:
        """The raw value, None where it is absent or null."""
        self._read.add(key)
        return self._mapping.get(key)

    def from_here(self) -> Fields:
        """The same object with places told from itself on."""
        return Fields(self._mapping)

    def unread(self) -> tuple[str, ...]:
        """Places of the keys that were never asked for, here and in the objects within."""
        own = [self.place(str(key)) for key in self._mapping if key not in self._read]
        return (*own, *(place for inner in self._inner.values() for place in inner.unread()))

    def text(self, key: str) -> str:
        """A text that is not blank."""
        value = self.optional_text(key)
        if value is None:
            raise BadValueError(self.place(key), "is missing", "give a text")
        return value

    def optional_text(self, key: str) -> str | None:
        """A text, or None; a blank text says nothing."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            raise BadValueError(self.place(key), f"expected a text, found {_show(value)}", "give a text")
        return value if value.strip() else None

    def choice(self, key: str, known: Sequence[T], default: T | None = None) -> T:
        """One of the `known` codes."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        for code in known:
            if value == code:
                return code
        raise BadCodeError(self.place(key), f"unknown code {_show(value)}", f"use one of: {', '.join(known)}")

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise BadValueError(
                self.place(key), f"expected true or false, found {_show(value)}", "give true or false"
            )
        return value

    def number(self, key: str, *, minimum: int = 0, default: int | None = None) -> int:
        """A whole number of at least `minimum`."""
        value = self.optional_number(key, minimum=minimum)
        if value is None:
            if default is None:
                raise BadValueError(self.place(key), "is missing", "give a whole number")
            return default
        return value

    def optional_number(self, key: str, *, minimum: int = 0) -> int | None:
        """A whole number of at least `minimum`, or None."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise BadValueError(
                self.place(key),
                f"expected a whole number of at least {minimum}, found {_show(value)}",
                "correct the number",
            )
        return value

    def decimal(self, key: str) -> Decimal | None:
        """A decimal number, or None."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, int | float | str | Decimal) and not isinstance(value, bool):
            try:
                number = Decimal(str(value))
            except ArithmeticError:
                number = Decimal("NaN")
            if number.is_finite():
                return number
        raise BadValueError(self.place(key), f"expected a number, found {_show(value)}", "give a number or null")

    def date(self, key: str) -> dt.date:
        """A calendar date."""
        value = self.optional_date(key)
        if value is None:
            raise BadValueError(self.place(key), "is missing", "give a date as YYYY-MM-DD")
        return value

    def optional_date(self, key: str) -> dt.date | None:
        """A calendar date, or None. TOML dates are taken as they are."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return value
        if isinstance(value, str):
            try:
                return dt.date.fromisoformat(value)
            except ValueError:
                pass
        raise BadValueError(self.place(key), f"{_show(value)} is no date", "give a date as YYYY-MM-DD")

    def moment(self, key: str) -> dt.datetime:
        """A date with a time of day, with or without an offset."""
        value = self.optional_moment(key)
        if value is None:
            raise BadValueError(
                self.place(key), "is missing", "give a time as YYYY-MM-DDTHH:MM:SS, with an offset if known"
            )
        return value

    def optional_moment(self, key: str) -> dt.datetime | None:
        """A date with a time of day, or None."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, dt.datetime):
            return value
        if isinstance(value, str) and len(value) > len("YYYY-MM-DD"):
            try:
                return dt.datetime.fromisoformat(f"{value[:-1]}Z" if value[-1] == "z" else value)
            except ValueError:
                pass
        raise BadValueError(
            self.place(key),
            f"{_show(value)} is no time",
            "give a time as YYYY-MM-DDTHH:MM:SS, with an offset if known",
        )

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty where it is absent."""
        values = self._list(key)
        for at, value in enumerate(values):
            if not isinstance(value, str) or not value.strip():
                raise BadValueError(
                    f"{self.place(key)}[{at}]", f"expected a text, found {_show(value)}", "give a text"
                )
        return tuple(str(value) for value in values)

    def objects(self, key: str) -> Iterator[Fields]:
        """Each object of a list; none where it is absent."""
        for at, value in enumerate(self._list(key)):
            yield self._within(value, f"{self.place(key)}[{at}]")

    def optional_object(self, key: str) -> Fields | None:
        """An object, or None."""
        value = self.get(key)
        return None if value is None else self._within(value, self.place(key))

    def _within(self, value: object, place: str) -> Fields:
        inner = Fields(value, place)
        self._inner[place] = inner
        return inner

    def _list(self, key: str) -> Sequence[object]:
        value = self.get(key)
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            raise BadValueError(self.place(key), f"expected a list, found {_show(value)}", "give a list")
        return value


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
