"""A trace in plain words: for each test why it counts or not, for each unit how its date came about."""

from __future__ import annotations

from typing import Final

from gateway.reporting.units.errors import BadValueError
from gateway.reporting.units.model import Statement, Step
from gateway.reporting.units.policy import Policy
from gateway.reporting.units.reasons import FLAG_RULES, FLAG_WORDS, WORDS

_TEST: Final[dict[str, str]] = {
    "COUNTABLE": "A home test of {test}, reported on {evidence}; nothing is against it but, perhaps, its week.",
    "OWN_WEEK": "It is the test of its own week, which begins on Sunday {week of}.",
    "STAND_IN": "Its own week had a test already; taken early ({early reason}, written on {documented}), it stands "
    "in for the week of Sunday {week of}, which has no test of its own.",
    "EARLY_ACCEPTED": "A second test of the week of Sunday {week of}, taken early ({early reason}, written on "
    "{documented}); any four weeks may hold four tests.",
}
_UNIT: Final[dict[str, str]] = {
    "UNIT": "Four counted tests make a unit, or what is left after the service ended: {tests}.",
    "CLAIMED": "Already claimed with the date of service {date}, and frozen: {tests}.",
    "CLAIMED_TEST_INVALIDATED": "Its test {test} no longer counts: the claim must be corrected or refunded.",
    "LAST_EVIDENCE": "The last of its results was received on {date}; no earlier date of service is possible.",
    "FIRST_TEST_PLUS": "The distance from its first test asks for {date} or later.",
    "STAND_IN_WEEK_OVER": "An early test stands in for a week that is over on {date}.",
    "SPACED": "The distance from other units moves the date to {date}.",
    "PULLED_BACK": "The last covered day is {date}: the date of service is pulled back to it.",
    "DAY_AFTER_PREVIOUS_UNIT": "It may not share the previous unit's date, so not before {date}.",
    "PARTIAL_withdrawn": "The patient withdrew on {date}: what is complete may be billed with modifier 52.",
    "PARTIAL_death": "The patient died on {date}: what is complete may be billed with modifier 52.",
    "PARTIAL_ma_transfer": "Medicare Advantage began on {date}: what is complete may be billed with modifier 52.",
    "BILLABLE_FROM": "Earliest date of service: {date}.",
}


def explain(statement: Statement, subject: str, policy: Policy | None = None) -> list[str]:
    """Every decision about a test or a unit, one sentence each, with the rule and on whose word it holds.

    Args:
        statement: made with a trace.
        subject: a test's id, or ``unit N`` with N from 1 in the order of the statement.
        policy: gives the source of each rule.

    Raises:
        BadValueError: the statement has no trace, or nothing was decided about `subject`.
    """
    if statement.trace is None:
        raise BadValueError("statement", "was made without a trace", "make it again with trace=True")
    steps = [step for step in statement.trace if step.subject == subject]
    if not steps:
        raise BadValueError("subject", f"nothing was decided about {subject!r}", "give a test id, or 'unit 1'")
    lines = [f"{_words(step)} [{_rule(step, policy)}]" for step in steps]
    return lines + _where(statement, subject)


def _words(step: Step) -> str:
    facts = dict(step.facts)
    known = _UNIT if step.subject.startswith("unit ") else _TEST
    if step.finding in known:
        return known[step.finding].format_map(_Stated(facts))
    if step.finding == "FLAG":
        return f"Held for review: {FLAG_WORDS[facts['flag']]}."
    detail = ", ".join(f"{name} {value}" for name, value in step.facts)
    return f"Does not count: {WORDS[step.finding]} ({detail})."


def _rule(step: Step, policy: Policy | None) -> str:
    rule = FLAG_RULES[dict(step.facts)["flag"]] if step.finding == "FLAG" else step.rule
    source = policy.source_of(rule) if policy else None
    return f"{rule}: {source.source}, {source.weight}" if source else rule


def _where(statement: Statement, test_id: str) -> list[str]:
    for number, unit in enumerate(statement.units, 1):
        if test_id in unit.tests:
            return [
                f"It is in unit {number}, date of service {unit.billable_from} ({unit.status.replace('_', ' ')})."
            ]
    if test_id in statement.pending:
        return [f"It is pending: {len(statement.pending)} of 4 tests for the next unit."]
    return []


class _Stated(dict[str, str]):
    """Facts by name; one that no document gives reads 'not stated'."""

    def __missing__(self, name: str) -> str:
        return "not stated"
