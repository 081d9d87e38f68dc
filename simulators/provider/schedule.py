"""Which message is met how: the words after ``--misbehave``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

__all__ = ["Schedule", "seconds"]

B = TypeVar("B")


class Schedule(Generic[B]):
    """A behaviour for each message; messages are counted from 1 as they arrive, repetitions included."""

    def __init__(self, otherwise: B, singly: Mapping[int, B] | None = None) -> None:
        """`singly`: by number; all other messages get `otherwise`."""
        self._otherwise = otherwise
        self._singly = dict(singly or {})

    @classmethod
    def read(cls, words: Iterable[str], behaviour: Callable[[str], B], otherwise: B) -> Schedule[B]:
        """Read ``3=silent`` (the third message), ``2-5=AE:207`` or ``*=late:1`` (every other message).

        Args:
            words: as above.
            behaviour: reads what stands behind the equals sign; raises ValueError.
            otherwise: where no ``*`` is given.

        Raises:
            ValueError: a word is none of these.
        """
        singly: dict[int, B] = {}
        for word in words:
            which, equals, what = word.partition("=")
            if not equals:
                raise ValueError(f"{word!r}: write WHICH=BEHAVIOUR, for example 3=silent or *=late:1")
            found = behaviour(what)
            if which == "*":
                otherwise = found
                continue
            first, dash, last = which.partition("-")
            if not first.isdecimal() or (dash and not last.isdecimal()) or int(first) < 1:
                raise ValueError(f"{word!r}: {which!r} is no message number; write 3, 2-5 or *")
            for number in range(int(first), int(last or first) + 1):
                singly[number] = found
        return cls(otherwise, singly)

    def at(self, number: int) -> B:
        """The behaviour towards the message with this number."""
        return self._singly.get(number, self._otherwise)


def seconds(text: str, argument: str) -> float:
    """The seconds in ``late:2.5``, or in another behaviour that waits.

    Raises:
        ValueError: `argument` is no number from 0 up; the message quotes `text`.
    """
    try:
        number = float(argument)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(f"{text!r}: {text.partition(':')[0]} needs seconds, for example late:2.5")
    return number
