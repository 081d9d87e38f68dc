"""What an HTTP answer to a transaction says about one report.

Sources: FHIR R4 3.1.0 (status codes 3.1.0.1.8, conditional create 3.1.0.8.1, transactions 3.1.0.11); RFC 9110
(status codes, Retry-After 10.2.3); RFC 6585 (429).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from gateway.reporting.channels.base import Level, Outcome

__all__ = ["Asked", "Verdict", "asked", "judge", "retry_after_s"]

REST_S: Final = 30.0
"""For a server that limits its load and does not say for how long."""
MOST_WORDS = 500

MEANINGS: Final = {
    401: "the server does not accept our credentials",
    403: "our credentials may not do this",
    404: "no FHIR server at this address",
    405: "the server takes no transactions at this address",
    406: "the server does not answer in JSON",
    410: "the address is no longer used",
    412: "the server holds two or more resources with this identifier",
    413: "the server takes no message of this size",
    415: "the server takes no FHIR JSON",
}
STORED: Final = frozenset({200, 201})
REPLACED: Final = frozenset({200, 201, 204, 304})
"""Answers to a conditional update; 304 says that the server holds these very contents already."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One entry of a transaction: what was wanted of the server."""

    method: str
    kind: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it.

    Attributes:
        renew: credentials were refused; with new ones the same request may pass.
    """

    outcome: Outcome
    level: Level
    text: str
    retry_after_s: float | None = None
    renew: bool = False


def asked(bundle: bytes) -> tuple[Asked, ...]:
    """The entries of a transaction of ours, in order."""
    requests = [entry["request"] for entry in json.loads(bundle)["entry"]]
    return tuple(Asked(request["method"], request["url"].partition("?")[0]) for request in requests)


def judge(status: int, headers: Mapping[str, str], body: bytes, wanted: Sequence[Asked], now: datetime) -> Verdict:
    """Judge a whole answer.

    Args:
        status: HTTP status.
        headers: with names in lower case, or a mapping that does not care.
        body: content, whole.
        wanted: what the transaction asked for.
        now: for a Retry-After that is a date, where the server does not say what its clock shows.
    """
    if status in (200, 201):
        return _each(body, wanted)
    if status == 202:
        return Verdict(Outcome.ACCEPTED, Level.ACCEPTED, "taken for later (202); nothing is known of it yet")
    return _failed(status, _words(body), retry_after_s(headers, now))


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds of a Retry-After, which may be a number or a date; None without a readable one."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    until = _date(text)
    if until is None:
        return None
    here = _date(headers.get("date", "")) or now
    return max((until - here).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _failed(status: int, words: str, rest_s: float | None) -> Verdict:
    meaning = MEANINGS.get(status, "")
    if 300 <= status < 400:
        meaning = "the server points elsewhere; set the destination's address to where it stands now"
    text = "; ".join(part for part in (f"HTTP {status}", meaning, words) if part)
    if status in (401, 403):
        return Verdict(Outcome.REFUSED, Level.SENT, text, renew=True)
    if status == 409:
        return Verdict(Outcome.POSTPONED, Level.SENT, text, rest_s)
    if status == 429:
        return Verdict(Outcome.POSTPONED, Level.SENT, text, REST_S if rest_s is None else rest_s)
    if status >= 500 or status == 408 or status < 200:
        # A gateway on the way may have given up while the server was storing: it is not known.
        return Verdict(Outcome.AMBIGUOUS, Level.SENT, text, rest_s)
    return Verdict(Outcome.REFUSED, Level.SENT, text)


def _each(body: bytes, wanted: Sequence[Asked]) -> Verdict:
    """Each entry must have its own success: a server may treat a transaction as a batch."""
    bundle = _json(body)
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") not in (
        "transaction-response",
        "batch-response",
    ):
        return _unclear("the answer is no response to a transaction")
    entries = bundle.get("entry")
    if not isinstance(entries, list) or len(entries) != len(wanted):
        number = len(entries) if isinstance(entries, list) else 0
        return _unclear(f"the answer has {number} entries for {len(wanted)} requests")
    worst: Verdict | None = None
    for number, (entry, request) in enumerate(zip(entries, wanted, strict=True), 1):
        response = entry.get("response") if isinstance(entry, dict) else None
        response = response if isinstance(response, dict) else {}
        found = re.match(r"([1-5]\d\d)(\s|$)", str(response.get("status", "")))
        if found is None:
            return _unclear(f"entry {number} ({request.kind}) has no status")
        status = int(found[1])
        if status in (STORED if request.method == "POST" else REPLACED):
            location = response.get("location")
            if isinstance(location, str) and not re.search(rf"(^|/){request.kind}/", location):
                return _unclear(f"entry {number} answers for another resource than {request.kind}")
            continue
        said = _outcome_words(response.get("outcome"))
        verdict = _failed(status, f"entry {number} ({request.kind})" + (f": {said}" if said else ""), None)
        if worst is None or _RANK[verdict.outcome] > _RANK[worst.outcome]:
            worst = verdict
    return worst or Verdict(Outcome.DELIVERED, Level.DELIVERED, "")


_RANK = {Outcome.ACCEPTED: 0, Outcome.POSTPONED: 1, Outcome.AMBIGUOUS: 2, Outcome.REFUSED: 3}
"""What decides when entries fail in different ways: a person is needed for any, then what is not known."""


def _unclear(text: str) -> Verdict:
    return Verdict(Outcome.AMBIGUOUS, Level.SENT, text)


def _words(body: bytes) -> str:
    return _outcome_words(_json(body))


def _outcome_words(outcome: object) -> str:
    """What an OperationOutcome says, most of it."""
    if not isinstance(outcome, dict) or outcome.get("resourceType") != "OperationOutcome":
        return ""
    issues = outcome.get("issue")
    found: list[str] = []
    for issue in issues if isinstance(issues, list) else []:
        if not isinstance(issue, dict) or issue.get("severity") in ("information", "warning"):
            continue
        details = issue.get("details")
        text = details.get("text") if isinstance(details, dict) else None
        words = [part for part in (text, issue.get("diagnostics")) if isinstance(part, str) and part]
        found.append(": ".join(words) or str(issue.get("code", "")))
    return "; ".join(part for part in found if part)[:MOST_WORDS]


def _json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
