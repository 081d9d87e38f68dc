"""How the provider's system answers, message by message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Behaviour", "Manner", "Script"]


class Manner(StrEnum):
    """A way to answer. All but the refusals keep the message as accepted: only the answer is spoilt."""

    ACCEPT = "accept"
    """AA with the right control id."""
    SILENT = "silent"
    """No answer; the connection stays open."""
    HANG_UP = "hang-up"
    """No answer; the connection is closed."""
    LATE = "late"
    """AA after some seconds: ``late:2.5``."""
    WRONG_ID = "wrong-id"
    """AA for a control id that nobody sent."""
    HALF_FRAME = "half-frame"
    """The first half of AA; the rest never comes."""
    CLOSE_AFTER = "close-after"
    """AA, then the connection is closed."""
    STALE_FIRST = "stale-first"
    """First the answer to the message before is given again, then AA."""
    AE = "AE"
    """Application error; with an ERR-3 code: ``AE:207``."""
    AR = "AR"
    """Application reject."""
    CA = "CA"
    """Commit accept: a hop has it; the application has not spoken."""
    CE = "CE"
    """Commit error."""
    CR = "CR"
    """Commit reject."""


REFUSALS = frozenset({Manner.AE, Manner.AR, Manner.CE, Manner.CR})


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One answer.

    Attributes:
        late_s: for `Manner.LATE`.
        error_code: ERR-3 of a refusal.
    """

    manner: Manner = Manner.ACCEPT
    late_s: float = 0.0
    error_code: str = "207"

    @classmethod
    def parse(cls, text: str) -> Behaviour:
        """Read ``accept``, ``late:2.5``, ``AE:207``.

        Raises:
            ValueError: the text is none of these; the message lists them.
        """
        name, _, argument = text.partition(":")
        try:
            manner = Manner(name)
        except ValueError:
            raise ValueError(f"{name!r} is no behaviour; there are: {', '.join(Manner)}") from None
        if manner is Manner.LATE:
            try:
                late_s = float(argument)
            except ValueError:
                late_s = -1.0
            if not 0 <= late_s < float("inf"):
                raise ValueError(f"{text!r}: late needs seconds, for example late:2.5")
            return cls(manner, late_s=late_s)
        if not argument:
            return cls(manner)
        if manner not in REFUSALS or not argument.isdecimal():
            raise ValueError(
                f"{text!r}: {name} takes no {argument!r}; only late:SECONDS and AE, AR, CE, CR:CODE do"
            )
        return cls(manner, error_code=argument)


class Script:
    """Which message is answered how; messages are counted from 1 as they arrive, repetitions included."""

    def __init__(self, singly: dict[int, Behaviour] | None = None, otherwise: Behaviour | None = None) -> None:
        self._singly = dict(singly or {})
        self._otherwise = otherwise or Behaviour()

    @classmethod
    def parse(cls, words: Iterable[str]) -> Script:
        """Read ``3=silent`` (the third message), ``2-5=AE:207`` or ``*=late:1`` (every other message).

        Raises:
            ValueError: a word is none of these.
        """
        singly: dict[int, Behaviour] = {}
        otherwise = None
        for word in words:
            which, equals, what = word.partition("=")
            if not equals:
                raise ValueError(f"{word!r}: write WHICH=BEHAVIOUR, for example 3=silent or *=late:1")
            behaviour = Behaviour.parse(what)
            if which == "*":
                otherwise = behaviour
                continue
            first, dash, last = which.partition("-")
            if not first.isdecimal() or (dash and not last.isdecimal()) or int(first) < 1:
                raise ValueError(f"{word!r}: {which!r} is no message number; write 3, 2-5 or *")
            for number in range(int(first), int(last or first) + 1):
                singly[number] = behaviour
        return cls(singly, otherwise)

    def at(self, number: int) -> Behaviour:
        """The behaviour towards the message with this number."""
        return self._singly.get(number, self._otherwise)
