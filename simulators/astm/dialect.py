"""How a particular meter uses E1381 and E1394 where the standards leave a choice, or where meters break them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator

from simulators.part import Part

__all__ = ["Dialect", "Framing", "Grouping", "Timers"]


class Framing(StrEnum):
    """How records are cut into frames (E1381 section 6.3.1)."""

    RECORD = "record"
    """One record per frame; a longer one is continued after ETB. What the standard asks for."""
    STREAM = "stream"
    """The message as one text, cut every `Dialect.text_limit` octets without regard to records."""
    MESSAGE = "message"
    """The whole message in one frame, however long."""


class Grouping(StrEnum):
    """How much of the memory one message carries."""

    RESULT = "result"
    MEMORY = "memory"


class Dialect(Part):
    """One way to speak.

    Attributes:
        text_limit: octets of text in one frame; E1381 allows 240.
        trailer: what follows the checksum; the standard asks for CR LF.
        carriage_return: whether the last record of a frame keeps its CR before ETX.
        establishment: ENQ before and EOT after each message. Some meters leave both out over TCP.
        delimiters: field, repeat, component and escape character, as the H record declares them.
        header_clock: whether H.14 says what the meter's clock shows now.
        processing_id: H.12: P production, T training, D debugging, Q control regulatory.
        sent_once: a test that was acknowledged is never offered again. Otherwise the whole memory is offered at
            every contact.
        resume: after a broken connection the message goes on with the next frame instead of starting anew.
    """

    framing: Framing = Framing.RECORD
    text_limit: Annotated[int, Field(ge=1)] = 240
    trailer: Literal["crlf", "lf"] = "crlf"
    carriage_return: bool = True
    establishment: bool = True
    delimiters: Annotated[str, Field(min_length=4, max_length=4)] = "|\\^&"
    grouping: Grouping = Grouping.RESULT
    header_clock: bool = True
    processing_id: Literal["P", "T", "D", "Q"] = "P"
    sent_once: bool = True
    resume: bool = False

    @field_validator("delimiters")
    @classmethod
    def _four_different_marks(cls, delimiters: str) -> str:
        if len(set(delimiters)) != 4 or any(mark.isalnum() or not "!" <= mark <= "~" for mark in delimiters):
            raise ValueError("four different punctuation marks are needed, for example |\\^&")
        return delimiters


Seconds = Annotated[float, Field(ge=0)]


class Timers(Part):
    """How long the meter waits, in seconds; all are multiplied by `scale`, so that a test need not wait.

    Attributes:
        reply_s: for an answer to ENQ or to a frame, then EOT (E1381 section 6.5.2).
        busy_s: after NAK to ENQ, before the next ENQ; at least 10 (section 6.2).
        contention_s: after ENQ against ENQ; the instrument waits at least 1, the host at least 20 (section 6.2.1).
        retry_s: after a message was given up, before it is offered again. The standard leaves it open.
        between_messages_s: after a message was acknowledged, before the next one.
    """

    scale: Annotated[float, Field(gt=0)] = 1.0
    reply_s: Seconds = 15.0
    busy_s: Seconds = 10.0
    contention_s: Seconds = 1.0
    retry_s: Seconds = 10.0
    between_messages_s: Seconds = 0.0

    def scaled(self) -> Timers:
        """The same with every time multiplied and scale 1."""
        names = ("reply_s", "busy_s", "contention_s", "retry_s", "between_messages_s")
        return Timers(**{name: getattr(self, name) * self.scale for name in names})
