from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulators.astm.faults import Fault, FaultKind, Line
from simulators.mounts.steps import Pause, Step, Unplug

ENQ = b"\x05"
ONE = b"\x021L|1|N\r\x0304\r\n"
TWO = b"\x022L|1|N\r\x0305\r\n"


def steps(line: Line, *frames: bytes) -> list[Step]:
    found = line.leaves(ENQ, is_frame=False)
    for frame in frames:
        found += line.leaves(frame, is_frame=True)
    return found


def joined(found: list[Step]) -> list[Step]:
    """Neighbouring octets in one."""
    whole: list[Step] = []
    for step in found:
        if isinstance(step, bytes) and whole and isinstance(whole[-1], bytes):
            whole[-1] += step
        else:
            whole.append(step)
    return whole


def test_a_line_without_faults_changes_nothing() -> None:
    assert joined(steps(Line(), ONE, TWO)) == [ENQ + ONE + TWO]


def test_a_frame_is_dropped_and_the_next_one_is_not() -> None:
    assert joined(steps(Line([Fault(kind=FaultKind.DROP, frame=1)]), ONE, TWO)) == [ENQ + TWO]


def test_an_octet_is_dropped_or_doubled() -> None:
    # Octet 1 is ENQ, 2 is STX, 3 the frame's digit.
    assert joined(steps(Line([Fault(kind=FaultKind.DROP, octet=3)]), ONE)) == [ENQ + b"\x02L|1|N\r\x0304\r\n"]
    doubled = Line([Fault(kind=FaultKind.DUPLICATE, octet=3)])
    assert joined(steps(doubled, ONE)) == [ENQ + b"\x0211L|1|N\r\x0304\r\n"]


def test_a_duplicate_frame_comes_from_a_reply_that_arrives_garbled_once() -> None:
    line = Line([Fault(kind=FaultKind.DUPLICATE, frame=1)])
    assert joined(steps(line, ONE)) == [ENQ + ONE]
    assert line.hears(b"") == b""
    assert line.hears(b"\x06") not in (b"\x06", b"\x04", b"")
    assert line.hears(b"\x06") == b"\x06"


def test_a_delay_stands_before_the_frame_or_the_octet() -> None:
    assert joined(steps(Line([Fault(kind=FaultKind.DELAY, frame=1, seconds=3)]), ONE)) == [ENQ, Pause(3), ONE]
    inside = Line([Fault(kind=FaultKind.DELAY, octet=4, seconds=3)])
    assert joined(steps(inside, ONE)) == [ENQ + ONE[:2], Pause(3), ONE[2:]]


def test_a_bad_checksum_is_wrong_by_one_and_leaves_the_rest() -> None:
    line = Line([Fault(kind=FaultKind.BAD_CHECKSUM, frame=2)])
    assert joined(steps(line, ONE, TWO)) == [ENQ + ONE + b"\x022L|1|N\r\x0306\r\n"]
    assert line.leaves(TWO, is_frame=True) == [TWO]


def test_a_frame_is_cut_short() -> None:
    assert joined(steps(Line([Fault(kind=FaultKind.TRUNCATE, frame=1, keep=5)]), ONE, TWO)) == [ENQ + ONE[:5] + TWO]


def test_garbage_stands_before_a_frame_and_counts_as_octets() -> None:
    line = Line([Fault(kind=FaultKind.GARBAGE, frame=1, octets="00ff02"), Fault(kind=FaultKind.DROP, octet=5)])
    assert joined(steps(line, ONE)) == [ENQ + b"\x00\xff\x02" + ONE[1:]]


def test_faults_of_one_frame_add_up() -> None:
    line = Line([Fault(kind=FaultKind.BAD_CHECKSUM, frame=1), Fault(kind=FaultKind.UNPLUG, frame=1, seconds=2)])
    assert joined(steps(line, ONE)) == [ENQ + ONE.replace(b"04\r\n", b"05\r\n"), Unplug(2)]


@given(st.integers(1, 60), st.lists(st.binary(min_size=1, max_size=12), max_size=6))
def test_the_cable_is_pulled_after_exactly_that_many_octets(octet: int, sent: list[bytes]) -> None:
    line = Line([Fault(kind=FaultKind.UNPLUG, octet=octet, seconds=0)])
    left = b""
    for octets in sent:
        for step in line.leaves(octets, is_frame=False):
            if isinstance(step, Unplug):
                assert len(left) == octet
                return
            assert isinstance(step, bytes)
            left += step
    assert left == b"".join(sent)
    assert len(left) < octet
