"""A second tally: slow, on plain JSON, written from the definitions alone. It shares no code with the core.

Everything is done the long way: dates are counted one by one, windows are listed out, and the next eligible test is
found by trying each day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]

COVERED = {"I48.20", "I82.511", "I26.99"}
EARLY = {"travel", "personal", "holiday", "illness", "procedure_scheduled", "inadvertent"}
EXTRA = {"repeat_abnormal", "provider_requested"}
SUPPLIER = {
    "SAME_WEEK_NO_REASON",
    "NEXT_WEEK_USED",
    "EARLY_NOT_ALLOWED",
    "FOUR_IN_FOUR_WEEKS",
    "LT_7_DAYS",
    "EXTRA_CLINICAL",
}


class Oracle:
    """One case under one policy. `new_test_day` adds a plain test at noon of that day, reported at once."""

    def __init__(self, case: Json, policy: Json, new_test_day: date | None = None) -> None:
        self.enrollment: Json = case["enrollment"]
        self.policy = policy
        self.service: str = case.get("service", "G0249")
        self.tests: list[Json] = list(case["tests"])
        self.claims = [c for c in case.get("claimed", []) if c["code"] == self.service]
        self.case = case
        self.facts_until = date.fromisoformat(case["as_of"])
        self.as_of = self.facts_until
        if new_test_day is not None:
            keep = [self.as_known(test) for test in self.tests]
            self.as_of = new_test_day
            zone = self.zone_on(new_test_day)
            noon = datetime.combine(new_test_day, time(12), zone).astimezone(UTC).isoformat()
            new = {"id": "~new", "kind": "patient", "source": "device", "inr": 0.123, "taken_at": noon}
            self.tests = [*keep, {**new, "reported_at": noon, "acknowledged_at": noon, "reviewed_at": noon}]
        self.by_id = {t["id"]: t for t in self.tests}
        ends = [
            e for e in case["events"] if e["type"] != "hold" and date.fromisoformat(e["date"]) <= self.facts_until
        ]
        rank = {"ma_transfer": 0, "death": 1, "withdrawn": 2}
        self.end: Json | None = min(ends, key=lambda e: (e["date"], rank[e["type"]]), default=None)

    def as_known(self, test: Json) -> Json:
        """The test as far as it is known today; one that lies ahead, or behind its own report, is made void."""
        stamps = ("reported_at", "acknowledged_at", "reviewed_at")
        known = {k: v for k, v in test.items() if k not in stamps or self.known(v)}
        if test.get("corrects") and not self.correction_known(test):
            known = {k: v for k, v in known.items() if k not in stamps}
        reason = test.get("reason_early")
        if reason and not self.known(reason["documented_at"]):
            known.pop("reason_early")
        taken = self.instant(test["taken_at"])
        reports = [self.instant(test[k]) for k in stamps if test.get(k)]
        if self.local(test["taken_at"]) > self.facts_until or any(taken > report for report in reports):
            known["voided"] = True
        return known

    # ---- time -------------------------------------------------------------------------------------------------

    def zone_on(self, day: date) -> ZoneInfo:
        name = self.enrollment["tz"]
        for change in sorted(self.enrollment.get("tz_history", []), key=lambda c: str(c["from"])):
            if date.fromisoformat(change["from"]) <= day:
                name = change["tz"]
        return ZoneInfo(name)

    def instant(self, text: str) -> datetime:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self.zone_on(moment.date()))
        return moment.astimezone(UTC)

    def local(self, text: str) -> date:
        instant = self.instant(text)
        name = self.enrollment["tz"]
        for change in sorted(self.enrollment.get("tz_history", []), key=lambda c: str(c["from"])):
            start = datetime.combine(date.fromisoformat(change["from"]), time(), ZoneInfo(change["tz"]))
            if instant >= start.astimezone(UTC):
                name = change["tz"]
        return instant.astimezone(ZoneInfo(name)).date()

    def known(self, text: str | None) -> bool:
        return text is not None and self.local(text) <= self.as_of

    def day(self, test_id: str) -> date:
        return self.local(self.by_id[test_id]["taken_at"])

    def order(self, test_id: str) -> tuple[datetime, str]:
        return self.instant(self.by_id[test_id]["taken_at"]), test_id

    # ---- one test ---------------------------------------------------------------------------------------------

    def evidence(self, test: Json) -> str | None:
        if self.service == "G0250":
            return test.get("reviewed_at")
        return test.get("reported_at" if self.policy["report_evidence"] == "transmitted" else "acknowledged_at")

    def is_duplicate(self, test: Json) -> bool:
        for other in self.tests:
            if other is test:
                continue
            same_record = (
                test.get("device_serial") is not None
                and test.get("device_seq") is not None
                and (test["device_serial"], test["device_seq"])
                == (other.get("device_serial"), other.get("device_seq"))
            )
            same_kind_of_copy = test["source"] == other["source"] and test.get("corrects") == other.get("corrects")
            if same_record and same_kind_of_copy and self.rank(other) < self.rank(test):
                return True
            if test["source"] != "manual" or other["source"] != "device" or other["kind"] != "patient":
                continue
            if not self.known(self.evidence(other)) or other["id"] in self.before(test):
                continue
            record = (test.get("device_serial"), test.get("device_seq"))
            if None not in record and record[0] == other.get("device_serial"):
                if same_record:
                    return True
                continue
            value = (test.get("inr"), test.get("inr_text"))
            near = abs(self.instant(test["taken_at"]) - self.instant(other["taken_at"])) <= timedelta(hours=2)
            if value != (None, None) and value == (other.get("inr"), other.get("inr_text")) and near:
                return True
        return False

    def rank(self, test: Json) -> tuple[datetime, str]:
        ack = test.get("acknowledged_at")
        never = datetime.max.replace(tzinfo=UTC)
        return (never if ack is None or not self.known(ack) else self.instant(ack)), test["id"]

    def correction_known(self, test: Json) -> bool:
        return self.known(test.get("reported_at") or test.get("acknowledged_at") or test.get("reviewed_at"))

    def is_superseded(self, test: Json) -> bool:
        copies = [test]
        if test.get("device_serial") is not None and test.get("device_seq") is not None:
            keys = ("device_serial", "device_seq", "corrects", "source")
            copies = [t for t in self.tests if all(t.get(k) == test.get(k) for k in keys)]
        ids = {t["id"] for t in copies}
        if any(t.get("corrects") in ids and self.correction_known(t) for t in self.tests):
            return True
        return any(self.is_older_version(test, other) for other in self.tests)

    def is_older_version(self, test: Json, other: Json) -> bool:
        """Both correct one test in the end, nothing corrects them, and the `other` was told later."""
        if other is test or not all(t.get("corrects") and self.correction_known(t) for t in (test, other)):
            return False
        if any(self.is_duplicate(t) or self.is_corrected(t) for t in (test, other)):
            return False
        return self.original(test) == self.original(other) and self.told(test) < self.told(other)

    def is_corrected(self, test: Json) -> bool:
        keys = ("device_serial", "device_seq", "corrects", "source")
        numbered = test.get("device_serial") is not None and test.get("device_seq") is not None
        same = [t for t in self.tests if numbered and all(t.get(k) == test.get(k) for k in keys)] or [test]
        return any(t.get("corrects") == s["id"] and self.correction_known(t) for t in self.tests for s in same)

    def original(self, test: Json) -> frozenset[str]:
        """The test that a chain of corrections begins with, and the copies of its record."""
        while test.get("corrects"):
            test = self.by_id[test["corrects"]]
        keys = ("device_serial", "device_seq", "corrects", "source")
        numbered = test.get("device_serial") is not None and test.get("device_seq") is not None
        same = [t for t in self.tests if numbered and all(t.get(k) == test.get(k) for k in keys)] or [test]
        return frozenset(t["id"] for t in same)

    def before(self, test: Json) -> set[str]:
        """Ids of the tests that it corrects, directly or through others."""
        found: set[str] = set()
        while test.get("corrects"):
            test = self.by_id[test["corrects"]]
            found.add(test["id"])
        return found

    def told(self, test: Json) -> tuple[datetime, str]:
        moment = test.get("reported_at") or test.get("acknowledged_at") or test.get("reviewed_at")
        assert moment is not None
        return self.instant(moment), test["id"]

    def gate(self, day: date) -> str | None:
        e, p = self.enrollment, self.policy
        covered = {c for c in e["diagnosis"] if c in COVERED}
        if p["dx_unspecified_af"] == "include":
            covered |= {c for c in e["diagnosis"] if c == "I48.91"}
        porcine = "Z95.3" in e["diagnosis"] or e.get("valve_type") == "bioprosthetic"
        if e.get("valve_type") == "mechanical":
            covered |= {c for c in e["diagnosis"] if c == "Z95.2"}
        if not covered or (porcine and p["porcine_with_other_indication"] == "exclude"):
            return "DIAGNOSIS_NOT_COVERED"
        if e["anticoagulant"] != "warfarin":
            return "NOT_ON_WARFARIN"
        if not e["training_documented"] or e["training_date"] is None:
            return "TRAINING_NOT_DOCUMENTED"
        training = date.fromisoformat(e["training_date"])
        if day < training:
            return "BEFORE_TRAINING"
        if day == training and not p["count_training_day"]:
            return "TRAINING_DAY"
        start = date.fromisoformat(e["warfarin_start"])
        if p["warfarin_3_months"] == "days90":
            ready = start + timedelta(days=90)
        else:
            month, year, last = start.month + 3, start.year, start.day
            if month > 12:
                month, year = month - 12, year + 1
            while True:
                try:
                    ready = date(year, month, last)
                    break
                except ValueError:
                    last -= 1
        if day < ready:
            return "WARFARIN_LT_3_MONTHS"
        active = [
            o
            for o in e["orders"]
            if o["signed_on"] <= day.isoformat() and (o["expires_on"] is None or day.isoformat() <= o["expires_on"])
        ]
        if not active:
            return "NO_ACTIVE_ORDER"
        if self.end is not None:
            on = date.fromisoformat(self.end["date"])
            if self.end["type"] == "ma_transfer" and day >= on:
                return "NOT_FFS"
            if self.end["type"] != "ma_transfer" and day > on:
                return "AFTER_TERMINATION"
        return None

    def last_covered(self) -> date | None:
        if self.end is None or self.end["type"] == "withdrawn":
            return None
        on = date.fromisoformat(self.end["date"])
        return on if self.end["type"] == "death" else on - timedelta(days=1)

    def reason_known(self, test: Json) -> Json | None:
        reason: Json | None = test.get("reason_early")
        return reason if reason is not None and self.known(reason["documented_at"]) else None

    def against(self, test: Json) -> str | None:
        if self.is_duplicate(test):
            return "DUPLICATE"
        if test.get("voided"):
            return "VOIDED"
        if self.is_superseded(test):
            return "SUPERSEDED"
        if test["kind"] != "patient":
            return {"control": "CONTROL", "error": "ERROR", "clinic": "CLINIC_TEST"}[test["kind"]]
        if test.get("inr") is None and not test.get("inr_text"):
            return "ERROR"
        taken = self.instant(test["taken_at"])
        day = self.local(test["taken_at"])
        reports = [test[k] for k in ("reported_at", "acknowledged_at", "reviewed_at") if test.get(k)]
        if day > self.as_of or any(taken > self.instant(r) for r in reports):
            return "FUTURE_DATED"
        closed = self.gate(day)
        if closed:
            return closed
        if test["source"] == "manual":
            accept = {"count": True, "exclude": False, "count_if_attested": test.get("attested", False)}
            if not accept[self.policy["manual_entry"]]:
                return "MANUAL_UNVERIFIED"
        reason = self.reason_known(test)
        if reason and reason["category"] in EXTRA:
            return "EXTRA_CLINICAL"
        evidence = self.evidence(test)
        if (
            evidence is None
            or not self.known(evidence)
            or (test.get("corrects") and not self.correction_known(test))
        ):
            return "NOT_REVIEWED" if self.service == "G0250" else "NOT_ACKNOWLEDGED"
        last = self.last_covered()
        if last is not None and self.local(evidence) > last and self.policy["ack_after_end"] == "exclude":
            return "ACK_AFTER_END"
        return None

    # ---- all tests --------------------------------------------------------------------------------------------

    def run(self) -> None:
        self.refused: dict[str, str] = {}
        for test in self.tests:
            reason = self.against(test)
            if reason:
                self.refused[test["id"]] = reason
        claimed = sorted({i for c in self.claims for i in c["tests"]}, key=self.order)
        self.week: dict[str, date] = {}
        self.early: set[str] = set()
        seen: set[date] = set()
        for test_id in claimed:
            own = sunday(self.day(test_id))
            self.week[test_id] = own + timedelta(days=7) if own in seen else own
            seen.add(own)
        self.claimed_valid = [i for i in claimed if i not in self.refused]
        free = sorted(
            (t["id"] for t in self.tests if t["id"] not in self.refused and t["id"] not in claimed), key=self.order
        )
        if self.policy["week_basis"] == "rolling7":
            counted = self.rolling(free, claimed)
        elif self.policy["early_rule"] == "literal_any4":
            counted = self.literal(free, claimed)
        else:
            counted = self.calendar(free, claimed)
        self.counted = sorted(counted, key=lambda i: (self.week[i], *self.order(i)))

    def rolling(self, free: list[str], claimed: list[str]) -> list[str]:
        counted: list[str] = []
        for test_id in free:
            others = claimed + counted
            if any(abs((self.day(test_id) - self.day(o)).days) < 7 for o in others):
                self.refused[test_id] = "LT_7_DAYS"
            else:
                counted.append(test_id)
                self.week[test_id] = sunday(self.day(test_id))
        return counted

    def literal(self, free: list[str], claimed: list[str]) -> list[str]:
        counted: list[str] = []
        held = {self.week[i] for i in claimed} | {sunday(self.day(i)) for i in claimed}
        for test_id in free:
            own = sunday(self.day(test_id))
            accepted = [sunday(self.day(i)) for i in claimed + counted]
            if own in held | set(accepted) and not self.documented(test_id):
                self.refused[test_id] = "SAME_WEEK_NO_REASON"
                continue
            if any(sum(w in window for w in accepted) >= 4 for window in windows(own)):
                self.refused[test_id] = "FOUR_IN_FOUR_WEEKS"
                continue
            if own in held | set(accepted):
                self.early.add(test_id)
            counted.append(test_id)
            self.week[test_id] = own
        return counted

    def calendar(self, free: list[str], claimed: list[str]) -> list[str]:
        taken = {self.week[i] for i in claimed}
        counted: list[str] = []
        later: list[str] = []
        for test_id in free:
            own = sunday(self.day(test_id))
            if own in taken:
                later.append(test_id)
            else:
                taken.add(own)
                counted.append(test_id)
                self.week[test_id] = own
        for test_id in later:
            following = sunday(self.day(test_id)) + timedelta(days=7)
            if not self.documented(test_id):
                self.refused[test_id] = "SAME_WEEK_NO_REASON"
            elif self.policy["early_rule"] == "never":
                self.refused[test_id] = "EARLY_NOT_ALLOWED"
            elif following in taken:
                self.refused[test_id] = "NEXT_WEEK_USED"
            else:
                taken.add(following)
                counted.append(test_id)
                self.week[test_id] = following
                self.early.add(test_id)
        return counted

    def documented(self, test_id: str) -> bool:
        reason = self.reason_known(self.by_id[test_id])
        return bool(
            reason and reason["category"] in EARLY and reason["text"].strip() and reason["documented_by"].strip()
        )

    # ---- units ------------------------------------------------------------------------------------------------

    def evidence_day(self, test_id: str) -> date:
        evidence = self.evidence(self.by_id[test_id])
        assert evidence is not None
        return self.local(evidence)

    def flags(self, chunk: list[str]) -> set[str]:
        found: set[str] = set()
        taken_in = [sunday(self.day(i)) for i in self.counted + self.claimed_valid]
        last = self.last_covered()
        for test_id in chunk:
            test = self.by_id[test_id]
            if (self.evidence_day(test_id) - self.day(test_id)).days > 7:
                found.add("LATE_REPORT")
            if test["source"] == "manual":
                found.add("MANUAL_ENTRY")
            if test.get("corrects"):
                found.add("CORRECTED_RESULT")
            if last is not None and self.evidence_day(test_id) > last:
                found.add("ACK_AFTER_END")
            if "Z95.3" in self.enrollment["diagnosis"] or self.enrollment.get("valve_type") == "bioprosthetic":
                found.add("PORCINE_WITH_OTHER_INDICATION")
            if test_id in self.early:
                found.add("EARLY_TEST")
                if (self.local(test["reason_early"]["documented_at"]) - self.day(test_id)).days > 7:
                    found.add("REASON_DOCUMENTED_LATE")
                if any(sum(w in window for w in taken_in) >= 5 for window in windows(sunday(self.day(test_id)))):
                    found.add("FIVE_TAKEN_IN_FOUR_WEEKS")
        days = [self.day(i) for i in chunk]
        if (max(days) - min(days)).days > 84:
            found.add("LONG_SPAN")
        return found

    def units(self) -> tuple[list[Json], list[str]]:
        made: list[Json] = []
        for claim in sorted(self.claims, key=lambda c: (c["dos"], c["tests"])):
            ids = sorted(claim["tests"], key=lambda i: (self.week[i], *self.order(i)))
            bad = any(i in self.refused for i in ids)
            flags = {"CLAIMED_TEST_INVALIDATED"} if bad else set()
            made.append(self.unit(ids, date.fromisoformat(claim["dos"]), claim["modifiers"], "claimed", flags))
        dates = [date.fromisoformat(c["dos"]) for c in self.claims]
        gap, last = self.policy["min_days_between_dos"], self.last_covered()
        rest, previous = list(self.counted), None
        full: list[Json] = []
        while len(rest) >= 4:
            chunk, rest = rest[:4], rest[4:]
            flags = self.flags(chunk)
            day = max(self.evidence_day(i) for i in chunk)
            day = max(
                day, min(self.day(i) for i in chunk) + timedelta(days=self.policy["min_days_first_test_to_dos"])
            )
            if (
                self.policy["week_basis"] == "calendar_sun_sat"
                and self.policy["early_rule"] == "fill_missed_next_week"
            ):
                for i in chunk:
                    if i not in self.early:
                        continue
                    over = self.week[i] + timedelta(days=7)
                    if self.end is None or over <= (last or date.fromisoformat(self.end["date"])):
                        day = max(day, over)
                    if self.end is None and self.as_of < over - timedelta(days=1):
                        flags.add("PROVISIONAL")
            while gap and (
                any(abs((day - d).days) < gap for d in dates)
                or (previous is not None and (day - previous).days < gap)
            ):
                day += timedelta(days=1)
            if last is not None and day > last:
                day = last
                flags.add("PERIOD_LT_28_DAYS_TERMINATION")
            dates.append(day)
            previous = day
            full.append(self.unit(chunk, day, [], None, flags))
        made += sorted(full, key=lambda u: str(u["billable_from"]))
        if rest and self.end is not None and self.service == "G0249":
            flags = self.flags(rest)
            day = max(self.evidence_day(i) for i in rest)
            if dates:
                day = max(day, max(dates) + timedelta(days=1))
            if last is not None:
                day = min(day, last)
            if dates and (day - max(dates)).days < 28:
                flags.add("WITHIN_28_DAYS_OF_PREVIOUS_DOS")
            made.append(self.unit(rest, day, ["52"], None, flags))
            rest = []
        return made, rest

    def unit(self, ids: list[str], day: date, modifiers: list[str], status: str | None, flags: set[str]) -> Json:
        leap = (day.month, day.day) == (2, 29)
        return {
            "tests": ids,
            "first_test": min(self.day(i) for i in ids).isoformat(),
            "last_test": max(self.day(i) for i in ids).isoformat(),
            "billable_from": day.isoformat(),
            "code": self.service,
            "modifiers": modifiers,
            "fraction": len(ids) / 4,
            "status": status or ("billable" if self.as_of >= day else "complete_waiting"),
            "review_flags": sorted(flags),
            "file_by": (date(day.year + 1, 2, 28) if leap else day.replace(year=day.year + 1)).isoformat(),
        }

    def expected(self) -> Json:
        self.run()
        made, pending = self.units()
        return {
            "units": made,
            "not_covered": [self.entry(t) for t in self.tests if t["id"] in self.refused],
            "pending_count": len(pending),
            "pending_tests": pending,
            "next_eligible": {"test_from": self.test_from(), "dos_from": self.dos_from(made)},
            "missed_weeks": self.missed_weeks(),
        }

    def entry(self, test: Json) -> Json:
        reason = self.refused[test["id"]]
        liability, modifier = ("supplier" if reason in SUPPLIER else "none"), None
        if reason == "EXTRA_CLINICAL":
            order = test.get("extra_order")
            abn = test.get("abn")
            ordered = order is not None and order["signed_on"] <= self.local(test["taken_at"]).isoformat()
            noticed = abn is not None and self.instant(abn["signed_at"]) < self.instant(test["taken_at"])
            if ordered:
                modifier = "GA" if noticed else "GZ"
                liability = "patient" if noticed else "supplier"
        return {"test": test["id"], "reason": reason, "liability": liability, "modifier_if_claimed": modifier}

    def dos_from(self, made: list[Json]) -> str | None:
        full = [
            date.fromisoformat(u["billable_from"])
            for u in made
            if len(u["tests"]) == 4 and "52" not in u["modifiers"]
        ]
        gap = self.policy["min_days_between_dos"]
        if not full or self.end is not None or gap == 0:
            return None
        return (max(full) + timedelta(days=gap)).isoformat()

    def test_from(self) -> str | None:
        if self.end is not None:
            return None
        before = len(self.counted) + len(self.claimed_valid)
        for ahead in range(1, 401):
            day = self.as_of + timedelta(days=ahead)
            if self.gate(day) is not None:
                continue
            trial = Oracle(self.case, self.policy, day)
            trial.run()
            if len(trial.counted) + len(trial.claimed_valid) > before:
                return day.isoformat()
        return None

    def missed_weeks(self) -> list[str]:
        used = {self.week[i] for i in self.counted + self.claimed_valid}
        if not used:
            return []
        missed, week = [], min(used)
        while week + timedelta(days=6) <= self.as_of:
            if week not in used:
                missed.append(week.isoformat())
            week += timedelta(days=7)
        return missed


def sunday(day: date) -> date:
    """The Sunday on or before `day`."""
    while day.strftime("%a") != "Sun":
        day -= timedelta(days=1)
    return day


def windows(week: date) -> list[set[date]]:
    """Every four consecutive weeks that contain `week`, as the sets of their Sundays."""
    return [{week + timedelta(days=7 * (start + n)) for n in range(4)} for start in (-3, -2, -1, 0)]
