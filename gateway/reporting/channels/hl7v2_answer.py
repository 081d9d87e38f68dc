"""What an HL7 v2 acknowledgement says about one message of ours.

Sources: HL7 v2.5.1 chapter 2.9 (original and enhanced mode), MSA 2.15.8, ERR 2.15.5, tables 0008 and 0357.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.reporting.channels.base import Level, Outcome

__all__ = ["Acknowledgement", "Verdict", "judge", "parse"]

TEMPORARY = frozenset({"206", "207"})
"""Table 0357: record locked by another, application internal error. All other codes want a person."""
MEANINGS = {
    "100": "segments out of order",
    "101": "required field missing",
    "102": "wrong data type",
    "103": "value not in the receiver's table",
    "200": "message type not supported",
    "201": "event not supported",
    "202": "processing id not supported",
    "203": "version not supported",
    "204": "unknown key identifier (is the patient id known there?)",
    "205": "duplicate key identifier",
    "206": "record locked",
    "207": "application error",
}


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The parts of an acknowledgement that decide.

    Attributes:
        code: MSA-1, table 0008.
        control_id: MSA-2, the MSH-10 of the message it answers.
        sender: MSH-3 and MSH-4 of whoever acknowledged.
        text: MSA-3 and ERR-8, as far as given.
        errors: error codes of all ERR segments, whichever version's field they stand in.
    """

    code: str
    control_id: str
    sender: str
    text: str
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`outcome` None: go on waiting for the application's acknowledgement on the same connection."""

    outcome: Outcome | None
    level: Level
    text: str


def parse(octets: bytes) -> Acknowledgement | None:
    """Read an acknowledgement, or None when it is none.

    Segments may end with CR, LF or both; the delimiters are those its own MSH names. Octets that are no UTF-8 are
    read as Latin-1, because many receivers answer in that.
    """
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    segments = [segment for segment in re.split(r"[\r\n]+", text) if segment]
    if not segments or not segments[0].startswith("MSH") or len(segments[0]) < 9:
        return None
    field, component = segments[0][3], segments[0][4]
    header = segments[0].split(field)
    rows = [segment.split(field) for segment in segments[1:]]
    msa = next((row for row in rows if row[0] == "MSA"), None)
    if msa is None or len(msa) < 3:
        return None
    found = [_error(row, component) for row in rows if row[0] == "ERR"]
    if not any(code for code, _ in found):
        found.append((_part(_at(msa, 6), component, 0), ""))  # MSA-6, where versions up to 2.4 put it
    words = [_at(msa, 3)] + [words for _, words in found]
    return Acknowledgement(
        code=msa[1].strip(),
        control_id=msa[2],
        sender="|".join(_at(header, number) for number in (2, 3)).strip("|"),
        text="; ".join(word for word in words if word),
        errors=tuple(code for code, _ in found if code),
    )


def judge(answer: Acknowledgement, *, commit_only: bool = False) -> Verdict:
    """What an acknowledgement that answers our message means for the report.

    AA is the application's word. CA, CE and CR belong to enhanced mode, which we never ask for: CA says that an
    engine on the way keeps the message, not that the application has it.

    Args:
        answer: what came.
        commit_only: the provider agreed that CA is all that this interface ever says.
    """
    words = ": ".join(part for part in (answer.code, answer.text) if part)
    match answer.code:
        case "AA":
            return Verdict(Outcome.DELIVERED, Level.DELIVERED, "")
        case "CA" if commit_only:
            return Verdict(Outcome.DELIVERED, Level.DELIVERED, "")
        case "CA":
            return Verdict(None, Level.ACCEPTED, "kept by the engine (CA), not yet acknowledged by the application")
        case "AE" | "CE":
            meanings = "; ".join(f"{code} {MEANINGS.get(code, 'unknown code')}" for code in answer.errors)
            text = f"{words} ({meanings})" if meanings else words
            temporary = all(code in TEMPORARY for code in answer.errors)
            return Verdict(Outcome.POSTPONED if temporary else Outcome.REFUSED, Level.SENT, text)
        case "AR" | "CR":
            return Verdict(Outcome.REFUSED, Level.SENT, words)
    return Verdict(Outcome.AMBIGUOUS, Level.SENT, f"unknown acknowledgement code {answer.code[:20]!r}")


def _error(row: list[str], component: str) -> tuple[str, str]:
    """Code and words of an ERR segment: ERR-3 and ERR-8, or ERR-1.4 as in versions up to 2.4."""
    code = _part(_at(row, 3), component, 0)
    if not code:
        code = _part(_at(row, 1), component, 3).split("&")[0]
    return code.strip(), _at(row, 8)


def _at(row: list[str], number: int) -> str:
    return row[number].strip() if number < len(row) else ""


def _part(field: str, component: str, number: int) -> str:
    parts = field.split(component)
    return parts[number] if number < len(parts) else ""
