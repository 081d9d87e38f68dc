"""From octets on a topic to a reading, or to the reason why not. Pure: no store, no clock."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from gateway.mqtt.topics import ReadingName
from gateway.result import Result, content_differs, normalised_inr
from gateway.server.refusals import Reason, Refusal
from gateway.wire.reading import MAX_PAYLOAD_OCTETS, READING_SCHEMA, Reading

__all__ = ["KEPT_OCTETS", "content_digest", "contradictions", "judge", "record_digest", "understand"]

KEPT_OCTETS = MAX_PAYLOAD_OCTETS
"""Most octets that are kept of one message. What is longer is no reading; its digest and size are kept too."""


def understand(payload: bytes) -> Reading | Refusal:
    """Read a payload of schema `READING_SCHEMA`. Never raises."""
    if len(payload) > MAX_PAYLOAD_OCTETS:
        return Refusal(
            Reason.OVERSIZED,
            f"{len(payload)} octets; a reading has at most {MAX_PAYLOAD_OCTETS}; the first are kept",
        )
    try:
        return Reading.model_validate_json(payload)
    except ValidationError as error:
        stated = _schema(payload)
        if stated is not None and stated != READING_SCHEMA:
            return Refusal(
                Reason.SCHEMA_VERSION, f"schema is {stated[:80]!r}; this server understands {READING_SCHEMA!r}"
            )
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        shown = [f"{_place(problem['loc'])}: {problem['msg'][:120]}" for problem in problems[:3]]
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        return Refusal(Reason.MALFORMED, "; ".join(shown) + more)


def judge(name: ReadingName, payload: bytes) -> Reading | Refusal:
    """Read a payload and hold it against the name under which it came. Never raises."""
    understood = understand(payload)
    if isinstance(understood, Refusal):
        return understood
    for what, inside, outside in (
        ("hub", understood.hub, name.hub),
        ("journal", understood.journal, name.journal),
        ("number", understood.number, name.number),
    ):
        if inside != outside:
            return Refusal(Reason.NAME_MISMATCH, f"the payload says {what} {inside}, the topic says {outside}")
    return understood


def contradictions(left: Result, right: Result) -> tuple[str, ...]:
    """The fields in which two copies of one test contradict each other.

    As `content_differs`, and the INR itself: copies that the hub's alignment joined need not share it.
    """
    found = content_differs(left, right)
    return ("inr", *found) if normalised_inr(left.inr) != normalised_inr(right.inr) else found


def content_digest(result: Result) -> str:
    """Digest of everything that `contradictions` looks at: equal digests never contradict each other."""
    time = result.device_time
    parts = (
        result.kind.value,
        normalised_inr(result.inr),
        None if result.pt_seconds is None else normalised_inr(result.pt_seconds),
        None if result.quick_percent is None else normalised_inr(result.quick_percent),
        result.strip_lot,
        result.control_lot,
        result.control_level,
        result.error_code,
        result.patient_id,
        None if time is None else time.utc_offset_min,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def record_digest(reading: Reading) -> str:
    """Digest of the meter's own octets of this record."""
    return hashlib.sha256(reading.raw.encode()).hexdigest()[:32]


def _schema(payload: bytes) -> str | None:
    """The schema that a payload states, if it is a JSON object that states one."""
    try:
        content: Any = from_json(payload)
    except ValueError:
        return None
    stated = content.get("schema") if isinstance(content, dict) else None
    return stated if isinstance(stated, str) else None


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:40] for part in location) or "(whole payload)"
