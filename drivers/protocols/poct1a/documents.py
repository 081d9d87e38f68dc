"""Reads one POCT1-A2 document into a small tree in which every field keeps its name of the standard.

An element whose name has a dot and that holds no element is a *field* (``SVC.role_cd``); any other below the root
is an *object* (``SVC``, ``PT``, ``OBS``). A field's value stands in its attribute V; some meters put more into the
element's text (Nova: ``<DEV.device_id V="">MGH^ICU</DEV.device_id>``), so both are kept.

What a meter sends is not trusted: document types and entities are refused before they are read, and nesting is
bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

from drivers.errors import ProtocolError, ProtocolReason

__all__ = ["MAX_DEPTH", "Field", "Message", "Part", "glance", "guess", "parse"]

MAX_DEPTH: Final = 16
"""The deepest path of the standard is OBS.R01 / SVC / PT / OBS / NTE / NTE.text: six."""

_MESSAGE = re.compile(r"[A-Z]{3}\.R[0-9]{2}|[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)+")
"""Standard messages are like OBS.R01; vendors have their own like NOVA.STATSTRIP.SETUP."""
_ROOT = re.compile(rb"<([A-Z]{3}\.R[0-9]{2})[\s/>]")
_OBSERVATIONS = re.compile(rb"\s*(?:<\?xml\s[^<>]*\?>\s*)?<(OBS\.R0[12])\s*>\s*<HDR\s*>([^!]*?)</HDR\s*>")
_CONTROL_ID = re.compile(rb"<HDR\.control_id\s+V\s*=\s*(?:\"([^\"<&]{0,200})\"|'([^'<&]{0,200})')")


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        name: like ``OBS.value``.
        attributes: all of them as written: V value, U unit, NULL why there is none, DN name for persons, SN code
            system.
        text: what stands between its tags, without blanks around it.
        offset: octets from the start of the document.
    """

    name: str
    attributes: Mapping[str, str]
    text: str
    offset: int

    @property
    def said(self) -> str | None:
        """V, or the text when V is missing or empty; None when both are, or when NULL says that there is none."""
        if "NULL" in self.attributes:
            return None
        return self.attributes.get("V", "").strip() or self.text or None


@dataclass(slots=True)
class Part:
    """An object of the standard, or the root with all of them.

    Attributes:
        start, end: where it stands in the octets of the document, its tags included.
    """

    name: str
    start: int
    end: int = 0
    fields: list[Field] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    def field(self, name: str) -> Field | None:
        """The first field of this name, for example ``SVC.role_cd``."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        return None

    def said(self, name: str) -> str | None:
        """What the first field of this name says; None when it is missing, empty or NULL."""
        found = self.field(name)
        return None if found is None else found.said

    def part(self, name: str) -> Part | None:
        """The first object of this name directly below."""
        for candidate in self.parts:
            if candidate.name == name:
                return candidate
        return None

    def every(self, name: str) -> Iterator[Part]:
        """All objects of this name at any depth below, in the order of the document."""
        for candidate in self.parts:
            if candidate.name == name:
                yield candidate
            yield from candidate.every(name)

    def deep(self, part: str, name: str) -> str | None:
        """What the first field `name` of an object `part` at any depth says."""
        for candidate in self.every(part):
            found = candidate.said(name)
            if found is not None:
                return found
        return None


@dataclass(frozen=True, slots=True)
class Message:
    """One document.

    Attributes:
        name: of the root element, like ``OBS.R01``.
        root: everything in it.
    """

    name: str
    root: Part

    @property
    def control_id(self) -> str | None:
        """``HDR.control_id``, by which an acknowledgement refers to this document."""
        return self.root.deep("HDR", "HDR.control_id")


def parse(octets: bytes) -> Message:
    """Read one document.

    Raises:
        ProtocolError: it is not well formed, has a document type or entities, is nested too deeply, or is no
            POCT1-A message; with the offset.
    """
    reader = _Reader(octets)
    try:
        reader.parser.Parse(octets, True)
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code) or "unknown error"
        raise _error(max(0, reader.parser.ErrorByteIndex), f"the document is not well-formed XML: {why}") from None
    except (LookupError, ValueError):
        offset = reader.parser.ErrorByteIndex
        raise _error(offset, "the document's encoding is not supported; UTF-8 is meant", unsupported=True) from None
    finally:
        reader.release()
    root = reader.root
    if root is None or _MESSAGE.fullmatch(root.name) is None:
        raise _error(0, "the root element is no POCT1-A message such as OBS.R01", unsupported=True)
    return Message(root.name, root)


def guess(octets: bytes) -> Message:
    """Name and control id of a document that cannot be read, as far as they can be seen; nothing else."""
    name = _ROOT.search(octets)
    control_id = _CONTROL_ID.search(octets)
    root = Part("" if name is None else name[1].decode("ascii"), 0, len(octets))
    if control_id is not None:
        root.parts.append(_header(control_id))
    return Message(root.name, root)


def glance(octets: bytes) -> Message | None:
    """Name and control id of a document with observations, if they stand where meters write them; else None.

    A meter waits for the answer to its observations, and nothing but these two is needed for it: what the document
    says, or that it says nothing, is found out later. It is `parse` that decides where a glance does not.
    """
    front = _OBSERVATIONS.match(octets)
    control_id = None if front is None else _CONTROL_ID.search(octets, front.start(2), front.end(2))
    if front is None or control_id is None or not control_id[0].isascii():
        return None
    header = _header(control_id)
    name = front[1].decode("ascii")
    return (
        Message(name, Part(name, front.start(1) - 1, len(octets), [], [header])) if header.fields[0].said else None
    )


def _header(control_id: re.Match[bytes]) -> Part:
    value = (control_id[1] if control_id[1] is not None else control_id[2]).decode("utf-8", "replace")
    return Part("HDR", 0, 0, [Field("HDR.control_id", {"V": value}, "", control_id.start())])


class _Reader:
    """Builds the tree from the parser's events."""

    def __init__(self, octets: bytes) -> None:
        self.root: Part | None = None
        self._octets = octets
        self._open: list[tuple[Part, dict[str, str]]] = []
        self._text: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text.append
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.ExternalEntityRefHandler = self._refuse
        self.parser.UnparsedEntityDeclHandler = self._refuse
        self.parser.SkippedEntityHandler = self._refuse

    def release(self) -> None:
        """Break the circle of parser and handlers, so that nothing waits for the garbage collector."""
        self.parser.StartElementHandler = self.parser.EndElementHandler = None
        self.parser.CharacterDataHandler = None
        self.parser.StartDoctypeDeclHandler = self.parser.EntityDeclHandler = None
        self.parser.ExternalEntityRefHandler = self.parser.UnparsedEntityDeclHandler = None
        self.parser.SkippedEntityHandler = None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise _error(self.parser.CurrentByteIndex, f"elements are nested more than {MAX_DEPTH} deep")
        self._text.clear()
        self._open.append((Part(name, self.parser.CurrentByteIndex), attributes))

    def _end(self, name: str) -> None:
        part, attributes = self._open.pop()
        at = self.parser.CurrentByteIndex
        text = "".join(self._text)
        self._text.clear()
        if not self._open:
            self.root = part
        elif "." in name and not part.parts and not part.fields:
            self._open[-1][0].fields.append(Field(name, attributes, text.strip(), part.start))
            return
        else:
            self._open[-1][0].parts.append(part)
        # Of an empty element (<PT/>) expat gives the place after it, of any other that of its closing tag.
        is_empty = not (text or part.parts or part.fields) and self._octets[at - 2 : at] == b"/>"
        part.end = at if is_empty else self._octets.index(b">", at) + 1

    def _refuse(self, *_: Any) -> Any:
        raise _error(
            self.parser.CurrentByteIndex,
            "document types and entities are refused; no meter needs one",
            unsupported=True,
        )


def _error(offset: int, why: str, *, unsupported: bool = False) -> ProtocolError:
    reason = ProtocolReason.UNSUPPORTED if unsupported else ProtocolReason.BAD_STRUCTURE
    return ProtocolError(f"octet {offset}: {why}", reason, offset=offset)
