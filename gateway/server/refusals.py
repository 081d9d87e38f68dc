"""Why something waits in quarantine: one word for the machine, one sentence for the person, and the remedy."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

__all__ = ["REMEDY", "Reason", "Refusal"]


class Reason(StrEnum):
    """Every reason there is."""

    # Nothing can be made of the message.
    TOPIC = "topic"
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    SCHEMA_VERSION = "schema_version"
    NAME_MISMATCH = "name_mismatch"
    ALTERED = "altered"
    FAULT = "fault"
    INTERNAL_ERROR = "internal_error"
    # It is understood, and not admitted as it is.
    UNKNOWN_HUB = "unknown_hub"
    ORIGIN = "origin"
    REPEATS_UNSEEN = "repeats_unseen"
    # It is a result, and a person must say something about it.
    UNKNOWN_METER = "unknown_meter"
    UNASSIGNED_METER = "unassigned_meter"
    AMBIGUOUS_ASSIGNMENT = "ambiguous_assignment"
    TIME_UNKNOWN = "time_unknown"
    AMBIGUOUS_REPEAT = "ambiguous_repeat"
    CONFLICT = "conflict"
    UNREPORTABLE = "unreportable"
    # A person took it back. Such a row is closed from the beginning.
    RETRACTED = "retracted"


class Refusal(NamedTuple):
    """A reason and what is behind it. The detail names no person and no value."""

    reason: Reason
    detail: str


REMEDY: dict[Reason, str] = {
    Reason.TOPIC: "correct whatever publishes there; dismiss this",
    Reason.OVERSIZED: "the hub keeps the whole octets; look there, then dismiss this",
    Reason.MALFORMED: "release it after an upgrade that understands it, or dismiss it",
    Reason.SCHEMA_VERSION: "upgrade this server, then release it",
    Reason.NAME_MISMATCH: "find out what publishes under another's name; dismiss this",
    Reason.ALTERED: "compare it with the first octets of this name; release it to let it count too, or dismiss it",
    Reason.FAULT: "the hub could not decode it: look at its octets; correct the meter's profile, or dismiss it",
    Reason.INTERNAL_ERROR: "report the error that the log names; release it after the upgrade",
    Reason.UNKNOWN_HUB: "register the hub ('registry import'), then release it",
    Reason.ORIGIN: "simulated and replayed results never count here: dismiss it",
    Reason.REPEATS_UNSEEN: "wait: it is taken up when the reading that it repeats arrives; else dismiss it",
    Reason.UNKNOWN_METER: "register the meter and its assignment ('registry import'), then release it",
    Reason.UNASSIGNED_METER: "register the assignment that covers this time ('registry import'), then release it",
    Reason.AMBIGUOUS_ASSIGNMENT: "find out who did the test, then release it with --patient ID",
    Reason.TIME_UNKNOWN: "find out when the test was done, then release it with --taken-at INSTANT",
    Reason.AMBIGUOUS_REPEAT: "same test as another reading: release it with --keep READING; a new one: --as-two",
    Reason.CONFLICT: "one test: release it with --keep READING, whose content holds; two tests: --as-two",
    Reason.UNREPORTABLE: "correct the provider, treatment or destination ('registry import'), then release it",
    Reason.RETRACTED: "it is decided; 'results restore' takes that back",
}
