"""Which tests may count at all: the first reason against each, in the order of the rules (R3, R19–R22, R25–R29).

What survives is a `Candidate`; whether its week is free is decided afterwards.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Final, Literal, NamedTuple

from gateway.reporting.units.calendar import Zones
from gateway.reporting.units.eligibility import Eligibility, EndOfService
from gateway.reporting.units.errors import BadCodeError, BadValueError, DuplicateTestError
from gateway.reporting.units.model import Category, EarlyReason, Kind, NotCovered, Step, Test
from gateway.reporting.units.policy import Policy
from gateway.reporting.units.reasons import RULES, Flag, Liability, Reason

UTC: Final = dt.UTC
LATE_AFTER_DAYS: Final = 7
"""Evidence, or the record of an early reason, later than this after the test is flagged (R7, R18)."""
AT_ONCE: Final = dt.timedelta(hours=2)
"""Most evidence comes this soon."""
SAME_TEST_WITHIN: Final = dt.timedelta(hours=2)
"""A manual entry and a meter's record of one value this close are one test (R21)."""

EARLY: Final[frozenset[Category]] = frozenset(
    ("travel", "personal", "holiday", "illness", "procedure_scheduled", "inadvertent")
)
CLINICAL: Final[frozenset[Category]] = frozenset(("repeat_abnormal", "provider_requested"))
MUST_SAY_MOVED: Final[frozenset[Category]] = frozenset(("illness", "procedure_scheduled"))
_EVIDENCE: Final = ("reported_at", "acknowledged_at", "reviewed_at")
_NOT_A_HOME_TEST: Final[Mapping[Kind, Reason]] = {"control": "CONTROL", "error": "ERROR", "clinic": "CLINIC_TEST"}


class Candidate:
    """A test with nothing against it but, perhaps, its week.

    Attributes:
        at: instant of the test, with an offset.
        day: ordinal of the local date of the test; `evidence` that of its evidence.
        reason: the documented reason for testing early, if it is in the record.
        documented: ordinal of the local date on which that reason was written.
        flags: review flags it brings into a unit.
        week: the week it is attributed to (set by attribution).
        early: whether it counts although its own week was taken (set by attribution).
    """

    __slots__ = ("at", "day", "documented", "early", "evidence", "flags", "id", "reason", "week")

    def __init__(self, test_id: str, at: dt.datetime, day: int, evidence: int, flags: tuple[Flag, ...]) -> None:
        self.id = test_id
        self.at = at
        self.day = day
        self.evidence = evidence
        self.reason: EarlyReason | None = None
        self.documented: int | None = None
        self.flags = flags
        self.week = day // 7
        self.early = False


class Screened(NamedTuple):
    """Candidates by id, and what is against the others, by id. Both in the order of the tests given."""

    candidates: dict[str, Candidate]
    refused: dict[str, NotCovered]


class Screening:
    """Screens the tests of one patient as known at the end of one local day."""

    def __init__(
        self,
        tests: Sequence[Test],
        policy: Policy,
        zones: Zones,
        eligibility: Eligibility,
        end: EndOfService | None,
        as_of: int,
        trace: list[Step] | None,
    ) -> None:
        """Args: as_of: ordinal of the day up to whose end something is known; trace: where decisions are noted.

        Raises:
            DuplicateTestError: one id twice.
            BadValueError: a test that corrects itself.
        """
        self._tests = tests
        self._policy = policy
        self._zones = zones
        self._eligibility = eligibility
        self._end = end
        self._as_of = as_of
        self._trace = trace
        self._porcine = eligibility.porcine
        self._eligible_from, self._eligible_to = eligibility.spans[0] if eligibility.spans else (1, 0)
        at = 0 if policy.report_evidence == "transmitted" else 1
        self._evidence_at = 2 if policy.service == "G0250" else at
        self._evidence: Callable[[Test], dt.datetime | None] = attrgetter(_EVIDENCE[self._evidence_at])
        self._no_evidence: Literal["NOT_REVIEWED", "NOT_ACKNOWLEDGED"] = (
            "NOT_REVIEWED" if policy.service == "G0250" else "NOT_ACKNOWLEDGED"
        )
        if len({test.id for test in tests}) != len(tests):
            twice = sorted(test_id for test_id, times in Counter(test.id for test in tests).items() if times > 1)
            raise DuplicateTestError(
                "tests", f"these ids stand twice: {', '.join(twice)}", "give every test its own id"
            )
        self._duplicates = self._find_duplicates()
        self._superseded = self._find_superseded()

    def run(self) -> Screened:
        """Judge every test.

        Raises:
            BadCodeError: a kind of test or reason category that no rule knows.
        """
        candidates: dict[str, Candidate] = {}
        refused: dict[str, NotCovered] = {}
        judge = self._judge
        for test in self._tests:
            verdict = judge(test)
            if isinstance(verdict, Candidate):
                candidates[test[0]] = verdict
            elif verdict == "EXTRA_CLINICAL":
                refused[test.id] = self._clinical_extra(test)
            else:
                refused[test.id] = NotCovered.plain(test.id, verdict)
            if self._trace is not None:
                self._trace.append(self._step(test, verdict))
        return Screened(candidates, refused)

    def _judge(self, test: Test) -> Candidate | Reason:
        # Taken apart at once: a nightly pass judges millions, and reading field after field costs a tenth of it.
        (
            test_id, kind, source, taken_at, reported, accepted, reviewed, inr, inr_text, _, _,
            attested, corrects, voided, reason_early, _, _,
        ) = test  # fmt: skip
        if test_id in self._duplicates:
            return "DUPLICATE"
        if voided:
            return "VOIDED"
        if test_id in self._superseded:
            return "SUPERSEDED"
        if kind != "patient":
            if kind not in _NOT_A_HOME_TEST:
                raise BadCodeError(
                    f"test {test_id}", f"unknown kind {kind!r}", "use patient, control, error or clinic"
                )
            return _NOT_A_HOME_TEST[kind]
        if inr is None and not inr_text:
            return "ERROR"
        zones, policy, as_of = self._zones, self._policy, self._as_of
        taken = taken_at if taken_at.tzinfo is UTC else zones.instant(taken_at)
        single = zones.single
        here = taken.astimezone(single) if single is not None else zones.local(taken)
        day = here.toordinal()
        if day > as_of:
            return "FUTURE_DATED"
        for told in (reported, accepted, reviewed):  # nobody is told of a test before it was made
            if told is not None and taken > (told if told.tzinfo is UTC else zones.instant(told)):
                return "FUTURE_DATED"
        if not self._eligible_from <= day <= self._eligible_to:
            gate = self._eligibility.reason(day)
            if gate is not None:
                return gate
        flags: tuple[Flag, ...] = ()
        if source != "device":
            if policy.manual_entry == "exclude" or (policy.manual_entry == "count_if_attested" and not attested):
                return "MANUAL_UNVERIFIED"
            flags += ("MANUAL_ENTRY",)
        reason = None if reason_early is None else self._known_reason(reason_early)
        if reason is not None and _is_clinical(reason):
            return "EXTRA_CLINICAL"
        moment = (reported, accepted, reviewed)[self._evidence_at]
        if moment is None:
            return self._no_evidence
        if single is not None and here.hour < 20 and moment.tzinfo is UTC and moment - taken < AT_ONCE:
            evidence = day  # the same day whatever the clocks do in between
        else:
            evidence = zones.day_of(moment)
        if evidence > as_of or (corrects is not None and not self._correction_known(test)):
            return self._no_evidence
        delay = evidence - day
        if policy.late_report_limit_days is not None and delay > policy.late_report_limit_days:
            return "REPORTED_TOO_LATE"
        if self._end is not None and self._end.last_covered is not None and evidence > self._end.last_covered:
            if policy.ack_after_end == "exclude":
                return "ACK_AFTER_END"
            flags += ("ACK_AFTER_END",)
        if delay > LATE_AFTER_DAYS:
            flags += ("LATE_REPORT",)
        if corrects is not None:
            flags += ("CORRECTED_RESULT",)
        if self._porcine:
            flags += ("PORCINE_WITH_OTHER_INDICATION",)
        candidate = Candidate(test_id, taken, day, evidence, flags)
        if reason is not None and reason.documented_at is not None:
            candidate.reason = reason
            candidate.documented = zones.day_of(reason.documented_at)
        return candidate

    def _known(self, moment: dt.datetime | None) -> bool:
        return moment is not None and self._zones.day_of(moment) <= self._as_of

    def _correction_known(self, test: Test) -> bool:
        """A correction is known from its report; where no report time was kept, from its evidence.

        Before that it supersedes nothing and has no evidence of its own.
        """
        return self._known(test.reported_at or test.acknowledged_at or test.reviewed_at)

    def _known_reason(self, reason: EarlyReason) -> EarlyReason | None:
        """The reason as far as it is in the record on the as-of date, with all that the rule asks for (R7)."""
        category = reason.category
        if category not in EARLY and category not in CLINICAL:
            raise BadCodeError(
                "reason_early.category", f"unknown code {category!r}", f"use one of: {_all_categories()}"
            )
        if reason.documented_at is None:
            return reason if category in CLINICAL else None
        if not self._known(reason.documented_at):
            return None
        complete = bool(reason.text.strip() and reason.documented_by.strip())
        return reason if complete or _is_clinical(reason) else None

    def _find_duplicates(self) -> set[str]:
        """Copies of one record of a meter, and manual entries of what the meter has delivered (R20, R21)."""
        copies: dict[tuple[object, ...], Test] = {}
        more: dict[tuple[object, ...], list[Test]] = {}
        manual = [test for test in self._tests if test.source == "manual"]
        numbers = [test.device_seq for test in self._tests if test.device_seq is not None]
        repeated = len(set(numbers)) < len(numbers)  # copies of a record share its number
        for test in self._tests if repeated else ():
            if test.device_seq is not None and test.device_serial is not None:
                # A correction of a record is not a copy of it.
                key = (test.device_seq, test.device_serial, test.corrects, test.source)
                first = copies.setdefault(key, test)
                if first is not test:
                    more.setdefault(key, [first]).append(test)
        self._copies = list(more.values())
        found: set[str] = set()
        for group in self._copies:
            kept = min(group, key=self._acknowledged_first)
            found.update(test.id for test in group if test is not kept)
        for entry in manual:
            if any(self._is_same_test(entry, test) for test in self._tests):
                found.add(entry.id)
        return found

    def _acknowledged_first(self, test: Test) -> tuple[bool, float, str]:
        moment = test.acknowledged_at
        if moment is None or not self._known(moment):
            return (True, 0.0, test.id)
        return (False, self._zones.instant(moment).timestamp(), test.id)

    def _is_same_test(self, entry: Test, test: Test) -> bool:
        """Whether a manual `entry` says what the meter delivered as `test`, which has evidence of its report."""
        if test.source != "device" or test.kind != "patient" or not self._known(self._evidence(test)):
            return False
        if entry.corrects is not None and test.id in self._originals(entry):
            return False  # a correction of a record is not a copy of it
        if (
            entry.device_seq is not None
            and entry.device_serial is not None
            and entry.device_serial == test.device_serial
        ):
            return entry.device_seq == test.device_seq
        if not _same_value(entry, test):
            return False
        return abs(self._zones.instant(test.taken_at) - self._zones.instant(entry.taken_at)) <= SAME_TEST_WITHIN

    def _find_superseded(self) -> set[str]:
        """Tests that a known correction has replaced, with every copy of them (R22)."""
        found: set[str] = set()
        known: list[Test] = []
        for test in self._tests:
            if test.corrects is None:
                continue
            if test.corrects == test.id:
                raise BadValueError(f"test {test.id}", "corrects itself", "name the test that it corrects")
            if self._correction_known(test):
                found.add(test.corrects)
                known.append(test)
        if found:
            for group in self._copies:
                ids = {test.id for test in group}
                if ids & found:
                    found |= ids
        if len(known) > 1:
            found |= self._older_versions([test for test in known if test.id not in found])
        return found

    def _older_versions(self, corrections: Sequence[Test]) -> set[str]:
        """Of several corrections of one test all but the one told last: one test, its latest version (R22)."""
        copies = {test.id: group[0].id for group in self._copies for test in group}
        versions: dict[str, list[Test]] = {}
        for test in corrections:
            if test.id not in self._duplicates:
                original = self._originals(test)[-1]
                versions.setdefault(copies.get(original, original), []).append(test)
        return {test.id for found in versions.values() for test in sorted(found, key=self._told)[:-1]}

    def _originals(self, test: Test) -> list[str]:
        """What `test` corrects, and what that corrects, and so on."""
        corrects = {other.id: other.corrects for other in self._tests if other.corrects is not None}
        chain: list[str] = []
        following = test.corrects
        while following is not None and following not in chain:
            chain.append(following)
            following = corrects.get(following)
        return chain

    def _told(self, correction: Test) -> tuple[float, str]:
        moment = correction.reported_at or correction.acknowledged_at or correction.reviewed_at
        return (0.0 if moment is None else self._zones.instant(moment).timestamp(), correction.id)

    def _clinical_extra(self, test: Test) -> NotCovered:
        """Who pays for a clinical extra (R12): the patient only with order and notice, both before the test."""
        taken = self._zones.instant(test.taken_at)
        signed_on, abn = test.extra_order_signed_on, test.abn_signed_at
        ordered = signed_on is not None and signed_on.toordinal() <= self._zones.day(taken)
        noticed = abn is not None and self._zones.instant(abn) < taken
        liability: Liability = "patient" if ordered and noticed else "supplier"
        modifier: Literal["GA", "GZ"] | None = None
        if self._policy.abn == "not_accepted":  # notices and their modifiers are Original Medicare's
            liability = "supplier"
        elif ordered:
            modifier = "GA" if noticed else "GZ"
        return NotCovered(test.id, "EXTRA_CLINICAL", liability, modifier)

    def _step(self, test: Test, verdict: Candidate | Reason) -> Step:
        day = self._zones.day_of(test.taken_at)
        facts: list[tuple[str, str]] = [("test", _iso(day))]
        if isinstance(verdict, Candidate):
            facts.append(("evidence", _iso(verdict.evidence)))
            return Step(test.id, "R3", "COUNTABLE", tuple(facts))
        facts += self._eligibility.facts(verdict, day)
        if verdict == "FUTURE_DATED":
            facts.append(("as of", _iso(self._as_of)))
        elif verdict == "ACK_AFTER_END" and self._end is not None and self._end.last_covered is not None:
            facts.append(("last covered day", _iso(self._end.last_covered)))
        moment = self._evidence(test)
        if moment is not None and verdict in (
            "NOT_ACKNOWLEDGED",
            "NOT_REVIEWED",
            "ACK_AFTER_END",
            "REPORTED_TOO_LATE",
        ):
            facts.append(("evidence", _iso(self._zones.day_of(moment))))
        if verdict == "EXTRA_CLINICAL":
            extra = self._clinical_extra(test)
            facts += [
                ("order", test.extra_order_signed_on.isoformat() if test.extra_order_signed_on else "none"),
                ("notice", test.abn_signed_at.isoformat() if test.abn_signed_at else "none"),
                ("liability", extra.liability),
            ]
        return Step(test.id, RULES[verdict], verdict, tuple(facts))


def _same_value(one: Test, other: Test) -> bool:
    """Whether two tests say the same: equal numbers however written, or the same text off the measuring range."""
    if one.inr is None and other.inr is None:
        return bool(one.inr_text) and one.inr_text == other.inr_text
    return one.inr == other.inr


def _is_clinical(reason: EarlyReason) -> bool:
    """Whether the reason makes the test a clinical extra (R7, R11)."""
    return reason.category in CLINICAL or (reason.category in MUST_SAY_MOVED and reason.weekly_test_moved is False)


def _all_categories() -> str:
    return ", ".join(sorted(EARLY | CLINICAL))


def _iso(day: int) -> str:
    return dt.date.fromordinal(day).isoformat()
