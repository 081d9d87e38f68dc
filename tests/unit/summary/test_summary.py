"""Time in range and variability: the published examples, and what must hold for any tests."""

from __future__ import annotations

import ast
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.reporting import summary
from gateway.reporting.summary import (
    InRange,
    Measured,
    Point,
    Target,
    by_day,
    daily,
    fihn,
    in_range,
    percent,
    shown,
    summarise,
)

DAY = 739_000
TWO_TO_THREE = [Target(1, Decimal("2.0"), Decimal("3.0"))]
FORBIDDEN = {"time", "os", "io", "pathlib", "socket", "sqlite3", "asyncio", "subprocess", "random"}


def course(*values: tuple[int, str]) -> list[Measured]:
    return [
        Measured(DAY + day, "", Decimal(inr.lstrip("<>")), inr[0] in "<>") if inr else Measured(DAY + day, "", None)
        for day, inr in values
    ]


EXAMPLES = [
    (((0, "1.8"), (8, "2.6")), "6.0000", "8.0000", "75.00 %", "77.78 %", "50.00 %", "0.7483"),
    (
        ((0, "2.5"), (7, "3.4"), (14, "2.8"), (21, "1.9"), (28, "2.3")),
        "17.6944",
        "28.0000",
        "63.19 %",
        "65.52 %",
        "60.00 %",
        "0.7314",
    ),
    (
        ((0, "2.5"), (7, "2.6"), (64, "2.4"), (71, "3.2")),
        "12.2500",
        "14.0000",
        "87.50 %",
        "87.50 %",
        "75.00 %",
        "0.5701",
    ),
    (((0, "1.5"), (10, "3.5")), "5.0000", "10.0000", "50.00 %", "45.45 %", "0.00 %", "1.6733"),
]


@pytest.mark.parametrize(("data", "inside", "days", "ttr", "counted", "fraction", "sigma"), EXAMPLES)
def test_published_examples(
    data: tuple[tuple[int, str], ...],
    inside: str,
    days: str,
    ttr: str,
    counted: str,
    fraction: str,
    sigma: str,
) -> None:
    found = summarise(course(*data), TWO_TO_THREE)
    assert shown(found.in_range.inside) == inside
    assert shown(found.in_range.covered) == days
    assert percent(found.in_range.share) == ttr
    assert percent(found.by_day.share) == counted
    assert percent(Fraction(*found.tests_in_range)) == fraction
    assert shown(found.fihn_sigma) == sigma
    assert shown(found.growth_rate) == shown(found.fihn_sigma * found.fihn_sigma if found.fihn_sigma else None)


@pytest.mark.parametrize(("gap", "left_out"), [(56, 0), (57, 1)])
def test_fifty_six_days_are_kept_and_fifty_seven_are_not(gap: int, left_out: int) -> None:
    found = summarise(course((0, "2.5"), (gap, "2.5")), TWO_TO_THREE)
    assert found.left_out == left_out
    assert found.in_range.covered == (0 if left_out else gap)
    assert summarise(course((0, "2.5"), (gap, "2.5")), TWO_TO_THREE, 42).left_out == 1


def test_a_day_on_which_every_test_failed_breaks_the_line_and_a_repeated_test_does_not() -> None:
    whole = summarise(course((0, "2.5"), (7, "2.5"), (14, "2.5")), TWO_TO_THREE)
    repeated = summarise([*course((0, "2.5"), (7, "2.5"), (14, "2.5")), *course((7, ""))], TWO_TO_THREE)
    broken = summarise([*course((0, "2.5"), (7, "2.5"), (14, "2.5")), *course((10, ""))], TWO_TO_THREE)
    assert [each.in_range.covered for each in (whole, repeated, broken)] == [14, 14, 7]
    assert (repeated.failed, broken.failed, broken.left_out) == (1, 1, 1)
    assert summarise([*course((0, "2.5"), (7, "2.5")), *course((9, ""))], TWO_TO_THREE).in_range.covered == 7


def test_the_last_valid_result_of_a_day_counts_and_both_are_kept() -> None:
    tests = [
        Measured(DAY, "07:00", Decimal("9.0")),
        Measured(DAY, "07:30", Decimal("2.0")),
        Measured(DAY, "07:40", None),
        Measured(DAY + 7, "07:00", Decimal("3.0")),
    ]
    found = summarise(tests, TWO_TO_THREE)
    assert (found.tests, found.results, found.failed) == (2, 3, 1)
    assert percent(found.in_range.share) == "100.00 %"  # both ends of the target are inside


def test_off_the_scale_stands_at_the_limit_and_is_flagged() -> None:
    found = summarise(course((0, "3.0"), (10, ">8.0")), TWO_TO_THREE)
    assert found.off_scale == 1
    assert found.in_range == InRange(Fraction(0), Fraction(10))


def test_a_new_target_holds_from_its_day_on() -> None:
    tests = course((0, "2.5"), (10, "3.5"))
    targets = [Target(DAY, Decimal("2.0"), Decimal("3.0")), Target(DAY + 5, Decimal("2.5"), Decimal("3.5"))]
    assert summarise(tests, targets).in_range == InRange(Fraction(10), Fraction(10))
    assert summarise(tests, targets[:1]).in_range == InRange(Fraction(5), Fraction(10))
    assert summarise(tests, targets[1:]).in_range == InRange(
        Fraction(5), Fraction(5)
    )  # nothing is said of the time before there was a target
    assert summarise(tests, []).in_range.share is None


@pytest.mark.parametrize("tests", [[], course((0, "2.5")), course((0, ""), (3, ""))])
def test_too_little_gives_no_figure(tests: list[Measured]) -> None:
    found = summarise(tests, TWO_TO_THREE)
    assert (found.in_range.share, found.by_day.share, found.fihn_sigma, found.deviation) == (None, None, None, None)
    assert percent(found.in_range.share) == shown(found.fihn_sigma) == "-"


def test_a_gap_limit_of_no_days_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one day"):
        summarise([], [], 0)


def test_rounding_happens_once_and_half_up() -> None:
    assert shown(Fraction(5, 100_000)) == "0.0001"
    assert shown(Fraction(-5, 100_000)) == "-0.0001"
    assert shown(Decimal("0.00005")) == "0.0001"
    assert percent(Fraction(2, 3)) == "66.67 %"


def test_it_reads_no_clock_file_or_socket() -> None:
    folder = Path(str(summary.__file__)).parent
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] not in FORBIDDEN, (file, name)
                assert not name.startswith("gateway") or name.startswith("gateway.reporting.summary"), (file, name)


values = st.decimals(Decimal("0.8"), Decimal("8.0"), places=1)
measured = st.builds(
    Measured,
    st.integers(DAY, DAY + 200),
    st.sampled_from(["06:00", "07:00", "08:00"]),
    st.one_of(values, st.none()),
    st.booleans(),
)
many = st.lists(measured, max_size=25)
targets_of = st.lists(
    st.builds(
        lambda day, low, width: Target(day, low, low + width), st.integers(DAY - 5, DAY + 200), values, values
    ),
    max_size=3,
    unique_by=lambda target: target.from_day,
)


@settings(max_examples=150, deadline=None)
@given(many, targets_of, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(tests: list[Measured], targets: list[Target], chance: object) -> None:
    shuffled = sorted(tests, key=lambda _: chance.random())  # type: ignore[attr-defined] # hypothesis' Random
    assert summarise(shuffled, targets) == summarise(tests, targets[::-1])


@settings(max_examples=150, deadline=None)
@given(many, targets_of)
def test_bounds(tests: list[Measured], targets: list[Target]) -> None:
    found = summarise(tests, targets)
    points = daily(tests)
    span = points[-1].day - points[0].day if points else 0
    assert 0 <= found.in_range.inside <= found.in_range.covered <= span
    assert 0 <= found.by_day.inside <= found.by_day.covered <= span + 1
    assert 0 <= found.tests_in_range[0] <= found.tests_in_range[1] <= found.tests <= found.results
    assert found.intervals + found.left_out == max(0, found.tests - 1)
    wide = summarise(tests, [Target(1, Decimal(0), Decimal(100))])
    assert wide.in_range.inside == wide.in_range.covered
    for each in (found.fihn_sigma, found.growth_rate, found.deviation):
        assert each is None or each >= 0


@settings(max_examples=150, deadline=None)
@given(many, targets_of, st.integers(0, 30), st.fractions(0, 1))
def test_cutting_a_line_at_one_of_its_own_points_changes_no_time(
    tests: list[Measured], targets: list[Target], which: int, where: Fraction
) -> None:
    points, ordered = daily(tests), sorted(targets)
    usable = [
        at for at in range(1, len(points)) if not points[at].broken and points[at].day - points[at - 1].day <= 56
    ]
    if not usable or not 0 < where < 1:
        return
    at = usable[which % len(usable)]
    before, after = points[at - 1], points[at]
    day = before.day + (after.day - before.day) * where
    cut = Point(day, before.inr + (after.inr - before.inr) * where)
    assert in_range([*points[:at], cut, *points[at:]], ordered) == in_range(points, ordered)


@settings(max_examples=100, deadline=None)
@given(st.lists(values, min_size=2, max_size=12), st.integers(1, 40))
def test_time_may_be_moved_and_stretched(inrs: list[Decimal], moved: int) -> None:
    points = [Point(Fraction(7 * number), Fraction(inr)) for number, inr in enumerate(inrs)]
    later = [point._replace(day=point.day + moved) for point in points]
    always = [Target(-99, Decimal(2), Decimal(3))]
    assert in_range(points, always) == in_range(later, always)
    slow = [point._replace(day=2 * point.day) for point in points]
    assert in_range(slow, always) == tuple(2 * each for each in in_range(points, always))
    assert fihn(points) == fihn(later)
    assert by_day(later, [Target(-99, Decimal(0), Decimal(99))]).covered == 7 * (len(inrs) - 1) + 1
