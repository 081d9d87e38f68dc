"""Random cases in the format of the case file, dense near midnights, clock changes and the turn of the year."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

Json = dict[str, Any]

ZONES = (
    "America/New_York",
    "America/Los_Angeles",
    "America/Phoenix",
    "Pacific/Guam",
    "Pacific/Pago_Pago",
    "Pacific/Honolulu",
    "Pacific/Saipan",
    "America/Anchorage",
)
STARTS = (date(2024, 2, 25), date(2024, 10, 13), date(2024, 12, 8), date(2023, 2, 5), date(2024, 6, 2))
MINUTES = st.sampled_from((0, 1, 29, 60, 90, 119, 120, 150, 481, 720, 1380, 1410, 1439)) | st.integers(0, 1439)
DELAYS_MIN = st.sampled_from((None, 5, 60, 600, 1440, 3000, 10080, 11520, 12960, 40320))


def _moment(draw: st.DrawFn, day: date, minute: int, zone: ZoneInfo, *, naive: bool) -> tuple[str, datetime]:
    wall = datetime.combine(day, time(minute // 60, minute % 60))
    instant = wall.replace(tzinfo=zone, fold=draw(st.integers(0, 1))).astimezone(UTC)
    if naive:
        return wall.isoformat(), wall.replace(tzinfo=zone).astimezone(UTC)
    return draw(st.sampled_from((instant.isoformat(), instant.astimezone(zone).isoformat()))), instant


def _later(draw: st.DrawFn, instant: datetime, *, likely: bool) -> str | None:
    delay = draw(st.just(60) if likely and draw(st.integers(0, 3)) else DELAYS_MIN)
    return None if delay is None else (instant + timedelta(minutes=delay)).isoformat()


@st.composite
def policies(draw: st.DrawFn) -> Json:
    """Any policy that the options allow."""
    return {
        "week_basis": draw(st.sampled_from(("calendar_sun_sat", "calendar_sun_sat", "rolling7"))),
        "early_rule": draw(
            st.sampled_from(("fill_missed_next_week", "fill_missed_next_week", "never", "literal_any4"))
        ),
        "report_evidence": draw(st.sampled_from(("provider_ack", "transmitted"))),
        "min_days_first_test_to_dos": draw(st.sampled_from((28, 27, 0))),
        "min_days_between_dos": draw(st.sampled_from((28, 29, 0))),
        "manual_entry": draw(st.sampled_from(("count_if_attested", "exclude", "count"))),
        "count_training_day": draw(st.booleans()),
        "ack_after_end": draw(st.sampled_from(("exclude", "count_clamp"))),
        "warfarin_3_months": draw(st.sampled_from(("calendar_months", "days90"))),
        "dx_unspecified_af": draw(st.sampled_from(("exclude", "include"))),
        "porcine_with_other_indication": draw(st.sampled_from(("count_with_review", "exclude"))),
    }


@st.composite
def cases(draw: st.DrawFn, service: str | None = None, claims: bool = True) -> Json:
    """A case with up to fourteen tests within twelve weeks."""
    start = draw(st.sampled_from(STARTS))
    name = draw(st.sampled_from(ZONES))
    history: list[Json] = []
    if draw(st.integers(0, 5)) == 0:
        moves = draw(st.lists(st.integers(0, 60), min_size=1, max_size=2, unique=True))
        history = [
            {"tz": draw(st.sampled_from(ZONES)), "from": (start + timedelta(days=move)).isoformat()}
            for move in moves
        ]
    zone = ZoneInfo(name)
    days = draw(st.lists(st.integers(0, 83), max_size=14))
    if draw(st.booleans()):
        days = sorted({*days, *range(draw(st.integers(0, 6)), 84, 7)})[:14]
    tests: list[Json] = []
    for at, offset in enumerate(days):
        tests.append(_test(draw, f"t{at}", start + timedelta(days=offset), zone, tests))
    case: Json = {
        "id": "X",
        "enrollment": {**_enrollment(draw, start, name), "tz_history": history},
        "tests": tests,
        "events": _events(draw, start),
        "as_of": (start + timedelta(days=draw(st.integers(20, 130)))).isoformat(),
    }
    code = service or draw(st.sampled_from(("G0249", "G0249", "G0249", "G0250")))
    if code == "G0250":
        case["service"] = code
    if claims and len(tests) >= 4 and draw(st.integers(0, 2)) == 0:
        case["claimed"] = _claims(draw, [t["id"] for t in tests], start, code)
    return case


@st.composite
def weekly_cases(draw: st.DrawFn, claims: bool = True) -> Json:
    """An eligible patient who tests about weekly, sometimes twice or thrice a week, mostly with a reason."""
    start = draw(st.sampled_from(STARTS))
    name = draw(st.sampled_from(ZONES))
    zone = ZoneInfo(name)
    tests: list[Json] = []
    for week in range(draw(st.integers(3, 9))):
        for offset in sorted(draw(st.lists(st.integers(0, 6), min_size=0, max_size=3))):
            day = start + timedelta(days=7 * week + offset)
            text, instant = _moment(draw, day, draw(MINUTES), zone, naive=False)
            delay = draw(st.sampled_from((60, 60, 60, 60, 1440, 4320, 12960, None)))
            seen = None if delay is None else (instant + timedelta(minutes=delay)).isoformat()
            test: Json = {
                "id": f"t{len(tests)}",
                "kind": "patient",
                "source": "device",
                "inr": 2.5,
                "taken_at": text,
            }
            test |= {"reported_at": (instant + timedelta(minutes=5)).isoformat(), "acknowledged_at": seen}
            test["reviewed_at"] = seen
            if draw(st.integers(0, 4)):
                written = instant + timedelta(days=draw(st.sampled_from((-1, 0, 1, 7, 8, 25))))
                category = draw(st.sampled_from(("travel", "travel", "personal", "repeat_abnormal")))
                test["reason_early"] = {
                    "category": category,
                    "text": "away next week",
                    "documented_at": written.isoformat(),
                    "documented_by": "RN",
                }
            tests.append(test)
    last = max((date.fromisoformat(test["taken_at"][:10]) for test in tests), default=start)
    as_of = last + timedelta(days=draw(st.sampled_from((0, 1, 2, 4, 7, 14, 40))))
    events: list[Json] = []
    if draw(st.integers(0, 2)) == 0:
        kind = draw(st.sampled_from(("withdrawn", "death", "ma_transfer")))
        events = [{"type": kind, "date": (last + timedelta(days=draw(st.integers(-9, 4)))).isoformat()}]
    case: Json = {
        "id": "X",
        "enrollment": {
            "tz": name,
            "tz_history": [],
            "payer": "medicare_ffs",
            "diagnosis": ["I48.20"],
            "anticoagulant": "warfarin",
            "warfarin_start": (start - timedelta(days=200)).isoformat(),
            "training_date": (start - timedelta(days=30)).isoformat(),
            "training_documented": True,
            "orders": [{"signed_on": (start - timedelta(days=40)).isoformat(), "expires_on": None}],
        },
        "tests": tests,
        "events": events,
        "as_of": as_of.isoformat(),
    }
    if claims and len(tests) >= 5 and draw(st.integers(0, 2)) == 0:
        case["claimed"] = _claims(draw, [t["id"] for t in tests], start, "G0249")
    return case


def _claims(draw: st.DrawFn, ids: list[str], start: date, code: str) -> list[Json]:
    chosen = draw(st.permutations(ids))
    made = []
    for _ in range(draw(st.integers(1, 2))):
        size = draw(st.sampled_from((4, 4, 4, 2)))
        if len(chosen) < size:
            break
        tests, chosen = chosen[:size], chosen[size:]
        dos = start + timedelta(days=draw(st.integers(14, 110)))
        modifiers = ["52"] if size < 4 else []
        made.append({"tests": tests, "dos": dos.isoformat(), "code": code, "modifiers": modifiers})
    return made


def _enrollment(draw: st.DrawFn, start: date, name: str) -> Json:
    rare = st.integers(0, 9)
    training = start - timedelta(days=30)
    if draw(rare) == 0:
        training = start + timedelta(days=draw(st.integers(0, 20)))
    warfarin = start - timedelta(days=200)
    if draw(rare) == 0:
        warfarin = start - timedelta(days=draw(st.integers(60, 100)))
    orders: list[Json] = [{"signed_on": (start - timedelta(days=40)).isoformat(), "expires_on": None}]
    if draw(rare) == 0:
        signed = start + timedelta(days=draw(st.integers(0, 30)))
        orders[0]["expires_on"] = (start + timedelta(days=draw(st.integers(0, 40)))).isoformat()
        orders.append({"signed_on": signed.isoformat(), "expires_on": None})
    diagnoses = (["I48.20"], ["I82.511", "Z79.01"], ["Z95.3", "I48.20"], ["I48.91"], ["Z95.2"], ["Z95.3"], ["I10"])
    common = draw(st.integers(0, 3)) != 0
    return {
        "tz": name,
        "payer": "medicare_ffs",
        "mac": "noridian",
        "diagnosis": ["I48.20", "Z79.01"] if common else draw(st.sampled_from(diagnoses)),
        "valve_type": None if common else draw(st.sampled_from((None, "mechanical", "bioprosthetic"))),
        "anticoagulant": "apixaban" if draw(st.integers(0, 30)) == 0 else "warfarin",
        "warfarin_start": warfarin.isoformat(),
        "training_date": training.isoformat(),
        "training_documented": draw(st.integers(0, 30)) != 0,
        "orders": orders,
        "policy": {},
    }


def _events(draw: st.DrawFn, start: date) -> list[Json]:
    if draw(st.integers(0, 3)):
        return []
    kinds = st.sampled_from(("withdrawn", "death", "ma_transfer", "hold"))
    return [
        {"type": draw(kinds), "date": (start + timedelta(days=draw(st.integers(10, 120)))).isoformat()}
        for _ in range(draw(st.integers(1, 2)))
    ]


def _test(draw: st.DrawFn, test_id: str, day: date, zone: ZoneInfo, earlier: list[Json]) -> Json:
    text, instant = _moment(draw, day, draw(MINUTES), zone, naive=draw(st.integers(0, 5)) == 0)
    plain = draw(st.integers(0, 2)) != 0
    test: Json = {
        "id": test_id,
        "kind": "patient" if plain else draw(st.sampled_from(("patient", "patient", "control", "error", "clinic"))),
        "source": "device" if plain else draw(st.sampled_from(("device", "manual"))),
        "inr": draw(st.sampled_from((2.5, 2.5, 3.1, None))),
        "taken_at": text,
        "reported_at": _later(draw, instant, likely=plain),
        "acknowledged_at": _later(draw, instant, likely=plain),
        "reviewed_at": _later(draw, instant, likely=plain),
    }
    if test["inr"] is None and draw(st.integers(0, 5)):
        test["inr_text"] = ">8.0"
    if plain:
        return test
    if draw(st.integers(0, 5)) == 0:
        test["taken_at"] = (instant + timedelta(days=draw(st.integers(1, 400)))).isoformat()
    if draw(st.booleans()):
        test["device_serial"] = "SN1"
        test["device_seq"] = draw(st.integers(1, 4))
    test["attested"] = draw(st.booleans())
    test["voided"] = draw(st.integers(0, 7)) == 0
    if earlier and draw(st.integers(0, 4)) == 0:
        test["corrects"] = draw(st.sampled_from([other["id"] for other in earlier]))
    if draw(st.integers(0, 2)):
        test["reason_early"] = {
            "category": draw(st.sampled_from(("travel", "inadvertent", "illness", "holiday", "repeat_abnormal"))),
            "text": draw(st.sampled_from(("away next week", "see progress note", " "))),
            "documented_at": (instant + timedelta(days=draw(st.integers(-3, 30)))).isoformat(),
            "documented_by": "RN",
        }
    if draw(st.integers(0, 2)) == 0:
        test["extra_order"] = {"signed_on": (day + timedelta(days=draw(st.integers(-2, 1)))).isoformat()}
    if draw(st.integers(0, 2)) == 0:
        test["abn"] = {"signed_at": (instant + timedelta(hours=draw(st.integers(-30, 3)))).isoformat()}
    return test
