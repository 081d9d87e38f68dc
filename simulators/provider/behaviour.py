"""How the provider's system answers, message by message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from simulators.provider.schedule import Schedule, seconds

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
    """First the answer to the message before is given again, then AA, in one write."""
    TWICE = "twice"
    """AA, and the same once more, in one write."""
    GARBAGE = "garbage"
    """Octets that are no frame."""
    OLD_ACK = "ack-2.3"
    """AA in the form of version 2.3: MSH-9 ``ACK`` alone, MSH-12 ``2.3``, whatever was sent."""
    MANGLE = "mangle"
    """AA from a system that knows ASCII alone: it keeps, and answers with, a question mark for all else."""
    AE = "AE"
    """Application error; with an ERR-3 code: ``AE:207``."""
    AR = "AR"
    """Application reject."""
    AR_WORDS = "AR-words"
    """Application reject with its reason in MSA-3 and no ERR segment, as up to version 2.4."""
    CA = "CA"
    """Commit accept: a hop has it; the application has not spoken."""
    CE = "CE"
    """Commit error."""
    CR = "CR"
    """Commit reject."""


CODED = frozenset({Manner.AE, Manner.AR, Manner.CE, Manner.CR})
REFUSALS = CODED | {Manner.AR_WORDS}


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
            return cls(manner, late_s=seconds(text, argument))
        if not argument:
            return cls(manner)
        if manner not in CODED or not argument.isdecimal():
            raise ValueError(
                f"{text!r}: {name} takes no {argument!r}; only late:SECONDS and AE, AR, CE, CR:CODE do"
            )
        return cls(manner, error_code=argument)


class Script(Schedule[Behaviour]):
    """Which message is answered how."""

    @classmethod
    def parse(cls, words: Iterable[str]) -> Schedule[Behaviour]:
        """Read the words of a script; a message that none of them names is accepted.

        Raises:
            ValueError: a word cannot be read.
        """
        return cls.read(words, Behaviour.parse, Behaviour())
