from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from simulators.meter import Clock, Entry, Identity, Meter, Stored
from simulators.mounts.steps import Pause, Unplug
from simulators.poct1a.device import Accepted, Action, Device, HangUp, Refused, Transmit
from simulators.poct1a.dialect import COAGUCHEK, PT2, Dialect
from simulators.poct1a.faults import Fault, FaultKind, Line

AT = datetime(2026, 3, 14, 7, 28, tzinfo=ZoneInfo("America/New_York"))


class Bench:
    """A device with a memory of some results and a person who plays the host."""

    def __init__(self, dialect: Dialect, tests: int = 3) -> None:
        self.meter = Meter(Identity(), Clock(), [Entry(at=AT, inr=f"2.{n}") for n in range(tests)])
        self.sent: set[int] = set()
        self.set_to: list[str] = []
        self.device = Device(self.meter, dialect, self.unsent, lambda: None, self.set_to.append)

    def unsent(self) -> list[Stored]:
        return [test for test in self.meter.memory if test.ordinal not in self.sent]

    def play(self, actions: Iterable[Action]) -> list[str]:
        told = []
        for action in actions:
            if isinstance(action, Transmit):
                told.append(named(action.octets))
            elif isinstance(action, Accepted):
                self.sent.update(test.ordinal for test in action.tests)
                told.append(f"accepted {len(action.tests)}")
            elif isinstance(action, Refused):
                told.append(f"refused {len(action.tests)}")
            else:
                told.append("hangs up")
        return told

    def hears(self, octets: bytes) -> list[str]:
        return self.play(self.device.receive(octets, 0.0))


def named(octets: bytes) -> str:
    found = re.search(rb"<(\w{3}\.R\d\d)>.*?HDR.control_id V= ?\"(\d+)\"", octets, re.DOTALL)
    assert found is not None
    return f"{found[1].decode()} {found[2].decode()}"


def ack(control_id: str = "", kind: str = "AA") -> bytes:
    reference = f'<ACK.ack_control_id V="{control_id}"/>' if control_id else ""
    return f'<ACK.R01><HDR/><ACK><ACK.type_cd V="{kind}"/>{reference}</ACK></ACK.R01>'.encode()


def ask(name: str, part: str, field: str, value: str) -> bytes:
    header = '<HDR><HDR.control_id V="5"/></HDR>'
    return f'<{name}>{header}<{part}><{field} V="{value}"/></{part}></{name}>'.encode()


ROBS = ask("REQ.R01", "REQ", "REQ.request_cd", "ROBS")
END = ask("END.R01", "TRM", "TRM.reason_cd", "NRM")


def test_a_pt2_sends_its_memory_once_and_hangs_up() -> None:
    bench = Bench(PT2.model_copy(update={"services_per_message": 2}))
    assert bench.play(bench.device.connected(0.0)) == ["HEL.R01 10001"]
    assert bench.hears(ack()) == ["DST.R01 10002"]
    assert bench.hears(ack() + ROBS) == ["OBS.R01 10003"]
    assert bench.hears(ack()) == ["accepted 2", "OBS.R01 10004"]
    assert bench.hears(ack()) == ["accepted 1", "EOT.R01 10005"]
    assert bench.hears(ack()) == ["hangs up"]
    bench.play(bench.device.connected(0.0))
    assert bench.hears(ack()) == ["DST.R01 10007"]
    assert bench.hears(ack() + ROBS) == ["EOT.R01 10008"]


def test_only_the_right_reference_counts() -> None:
    bench = Bench(COAGUCHEK)
    bench.play(bench.device.connected(0.0))
    assert bench.hears(ack("99999")) == []
    assert bench.hears(ack()) == []
    assert bench.hears(ack("10001")) == ["DST.R01 10002"]
    bench.hears(ack("10002") + ROBS)
    assert bench.hears(ack("10002")) == []
    assert bench.hears(ack("10003")) == ["accepted 1", "OBS.R01 10004"]


@pytest.mark.parametrize("kind", ["AE", "AR"])
def test_a_refused_result_is_offered_again(kind: str) -> None:
    bench = Bench(COAGUCHEK)
    bench.play(bench.device.connected(0.0))
    bench.hears(ack("10001"))
    bench.hears(ack("10002") + ROBS)
    assert bench.hears(ack("10003", kind)) == ["refused 1", "EOT.R01 10004"]
    assert bench.hears(ack("10004")) == []
    assert bench.hears(END) == ["ACK.R01 10005", "hangs up"]
    assert len(bench.unsent()) == 3


def test_silence_is_answered_by_repeating_then_hanging_up() -> None:
    bench = Bench(COAGUCHEK.model_copy(update={"application_timeout_s": 10}))
    bench.play(bench.device.connected(0.0))
    bench.hears(ack("10001"))
    bench.hears(ack("10002") + ROBS)
    assert bench.play(bench.device.tick(9.9)) == []
    assert bench.play(bench.device.tick(10.0)) == ["OBS.R01 10003"]
    assert bench.play(bench.device.tick(20.0)) == ["refused 1", "hangs up"]


def test_a_broken_connection_leaves_the_result_unsent() -> None:
    bench = Bench(COAGUCHEK)
    bench.play(bench.device.connected(0.0))
    bench.hears(ack("10001"))
    bench.hears(ack("10002") + ROBS)
    assert bench.play(bench.device.lost()) == ["refused 1"]
    assert bench.device.deadline_s is None


def test_continuous_mode_sends_what_is_made_and_keeps_alive() -> None:
    bench = Bench(COAGUCHEK, tests=0)
    bench.play(bench.device.connected(0.0))
    bench.hears(ack("10001"))
    start = ask("DTV.R01", "DTV", "DTV.command_cd", "START_CONTINUOUS")
    assert bench.hears(ack("10002") + start) == ["ACK.R01 10003"]
    assert bench.play(bench.device.tick(30.0)) == ["KPA.R01 10004"]
    assert bench.hears(ack("10004")) == []
    bench.meter.make(Entry(at=AT, inr="3.0"))
    assert bench.play(bench.device.made(31.0)) == ["OBS.R01 10005"]
    assert bench.hears(ack("10005")) == ["accepted 1"]


def test_directives_that_it_does_not_list_are_escaped() -> None:
    set_time = ask("DTV.R02", "DTV", "DTV.command_cd", "SET_TIME").replace(
        b"</DTV.R02>", b'<TM><TM.dttm V="2026-03-14T08:00:00-04:00"/></TM></DTV.R02>'
    )
    for dialect, answer, told in ((PT2, "ESC.R01", []), (COAGUCHEK, "ACK.R01", ["2026-03-14T08:00:00-04:00"])):
        bench = Bench(dialect)
        bench.play(bench.device.connected(0.0))
        assert [short.split()[0] for short in bench.hears(set_time)] == [answer]
        assert bench.set_to == told


def test_events_are_sent_when_asked_for() -> None:
    bench = Bench(COAGUCHEK)
    bench.play(bench.device.connected(0.0))
    bench.hears(ack("10001"))
    assert bench.hears(ack("10002") + ask("REQ.R01", "REQ", "REQ.request_cd", "RDEV")) == ["EVS.R01 10003"]
    assert bench.hears(ack("10003")) == ["EOT.R01 10004"]


def test_rubbish_from_the_host_is_survived() -> None:
    bench = Bench(COAGUCHEK)
    bench.play(bench.device.connected(0.0))
    assert bench.hears(b"<ACK.R01><x></ACK.R01>" + b"\xff" * 200_000) == []
    assert bench.hears(ack("10001")) == ["DST.R01 10002"]


DOCUMENT = b"<OBS.R01><HDR></HDR></OBS.R01>"


@pytest.mark.parametrize(
    ("fault", "steps"),
    [
        (Fault(kind=FaultKind.DROP, document=1), []),
        (Fault(kind=FaultKind.DUPLICATE, document=1), [DOCUMENT * 2]),
        (Fault(kind=FaultKind.DELAY, document=1, seconds=2), [Pause(2), DOCUMENT]),
        (Fault(kind=FaultKind.UNPLUG, document=1, seconds=3), [DOCUMENT, Unplug(3)]),
        (Fault(kind=FaultKind.CUT, octet=5, seconds=1), [DOCUMENT[:5], Unplug(1)]),
        (Fault(kind=FaultKind.GARBAGE, document=1, octets="00ff"), [b"\x00\xff" + DOCUMENT]),
        (Fault(kind=FaultKind.WRONG_XML, document=1), [b"<OBS.R01><HDR></OBS.R01>"]),
    ],
)
def test_faults(fault: Fault, steps: list[object]) -> None:
    line = Line([fault])
    assert line.leaves(DOCUMENT) == steps
    assert line.leaves(DOCUMENT) == [DOCUMENT]


def test_a_split_document_loses_nothing() -> None:
    steps = Line([Fault(kind=FaultKind.SPLIT, document=2, size=7)])
    assert steps.leaves(DOCUMENT) == [DOCUMENT]
    pieces = [step for step in steps.leaves(DOCUMENT) if isinstance(step, bytes)]
    assert b"".join(pieces) == DOCUMENT
    assert {len(piece) for piece in pieces[:-1]} == {7}


def test_a_cut_counts_octets_over_documents() -> None:
    line = Line([Fault(kind=FaultKind.CUT, octet=len(DOCUMENT) + 1, seconds=0)])
    assert line.leaves(DOCUMENT) == [DOCUMENT]
    assert line.leaves(DOCUMENT) == [b"<", Unplug(0)]


def test_faults_are_read_from_words() -> None:
    assert Fault.parse("cut:octet=1500,seconds=0.2") == Fault(kind=FaultKind.CUT, octet=1500, seconds=0.2)
    wrong = {"cut:octet=1": "needs octet, seconds", "explode:document=1": "kind", "drop": "needs document"}
    for words, problem in wrong.items():
        with pytest.raises(ValueError, match=problem):
            Fault.parse(words)


def test_hang_up_is_said_once() -> None:
    bench = Bench(PT2)
    bench.play(bench.device.connected(0.0))
    assert [type(action) for action in bench.device.receive(END + END, 0.0)] == [Transmit, HangUp]
