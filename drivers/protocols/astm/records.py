"""E1394 records: delimiters, escapes, fields, components (LIS02-A 5 and 6).

Fields are counted as the standard does, with the record's type as field 1: ``R.4`` is the measured value.
Components count from 1. Where a field repeats, the first repetition is meant.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from drivers.errors import ProtocolError, ProtocolReason

__all__ = ["Delimiters", "Record", "text_of"]


def text_of(octets: bytes) -> str:
    """The characters of a record: UTF-8, or Latin-1 where it is not; the octets themselves are always kept.

    E1394 allows Latin-1 characters above 7Eh (5.1); newer devices write UTF-8.
    """
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


class Delimiters:
    """The four characters that a header record defines for its message.

    Raises:
        ProtocolError: the header's second field defines none that can be used.
    """

    __slots__ = ("component", "escape", "field", "repeat", "unescape")

    def __init__(self, header: str, offset: int = 0) -> None:
        """Args: header: text of the header record; offset: where it begins, for errors."""
        self.field = header[1:2]
        definition = header[2:].split(self.field, 1)[0] if self.field else ""
        characters = self.field + definition[:3]
        usable = len(characters) >= 3 and len(set(characters)) == len(characters)
        if not usable or any(character.isalnum() or character.isspace() for character in characters):
            raise ProtocolError(
                "the header defines no usable delimiters; it should begin like H|\\^&",
                ProtocolReason.BAD_STRUCTURE,
                offset=offset + 1,
            )
        self.repeat, self.component = definition[0], definition[1]
        self.escape = definition[2:3]
        """Empty when the header defines none."""
        self.unescape: Callable[[str], str] = _unescaper(self.field, self.repeat, self.component, self.escape)


@functools.lru_cache(maxsize=16)
def _unescaper(field: str, repeat: str, component: str, escape: str) -> Callable[[str], str]:
    """Replaces ``&F& &S& &R& &E& &Xhh..&``; anything else between escape characters stays as it is."""
    if not escape:
        return lambda text: text
    mark = re.escape(escape)
    # E1394 names S the component and R the repeat delimiter.
    plain = {"F": field, "S": component, "R": repeat, "E": escape}
    pattern = re.compile(f"{mark}([FSRE]|X(?:[0-9A-Fa-f]{{2}})+){mark}")

    def replace(found: re.Match[str]) -> str:
        code = found.group(1)
        return plain.get(code) or text_of(bytes.fromhex(code[1:]))

    return lambda text: pattern.sub(replace, text) if escape in text else text


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        octets: as sent, without the CR that ends it.
        offset: octets from the start of the message's text.
        fields: texts between field delimiters, still escaped; ``fields[0]`` is the type and any text glued to it.
    """

    octets: bytes
    offset: int
    fields: list[str]
    delimiters: Delimiters

    @classmethod
    def parse(cls, octets: bytes, offset: int, delimiters: Delimiters) -> Record:
        """Split a record into its fields."""
        return cls(octets, offset, text_of(octets).split(delimiters.field), delimiters)

    @property
    def type(self) -> str:
        """``H``, ``P``, ``O``, ``R``, ``C``, ``Q``, ``M``, ``S`` or ``L``; the standard knows no other."""
        return self.fields[0]

    def part(self, field: int, component: int = 0) -> str:
        """A field or one component of it, without escapes and surrounding blanks; empty where it is absent.

        Args:
            field: from 1, the type.
            component: from 1; 0 for the whole field with its component delimiters.
        """
        fields = self.fields
        if field > len(fields):
            return ""
        text = fields[field - 1]
        delimiters = self.delimiters
        if delimiters.repeat in text:
            text = text.split(delimiters.repeat, 1)[0]
        if component:
            if delimiters.component in text:
                components = text.split(delimiters.component, component)
                text = components[component - 1] if component <= len(components) else ""
            elif component > 1:
                return ""
        if delimiters.escape and delimiters.escape in text:
            text = delimiters.unescape(text)
        return text.strip()

    def repeats(self, field: int) -> list[str]:
        """All repetitions of a field that are not blank."""
        if field > len(self.fields):
            return []
        found = self.fields[field - 1].split(self.delimiters.repeat)
        return [text for text in (self.delimiters.unescape(part).strip() for part in found) if text]
