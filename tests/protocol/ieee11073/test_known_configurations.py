"""Configurations that earlier conversations accepted: used, compared, asked for anew, and never trusted blindly."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.contract import Context, Finished, Memo, MeterRecord, Send
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.protocols.ieee11073 import apdu as a
from drivers.protocols.ieee11073.known_configurations import KnownConfigurations, identity_of, memo_key
from drivers.protocols.ieee11073.manager import Manager
from drivers.transports.phdc import open_phdc
from gateway.hub.contact import Contact
from gateway.hub.entries import Line
from simulators.ieee11073.dialect import Dialect, Fault, FaultKind, Form, Transfer
from simulators.usb.backend import Bus
from simulators.usb.phdc import PhdcMeter
from tests.protocol.ieee11073.conftest import CONFIGURATION
from tests.protocol.ieee11073.conversation import SCENARIO, Outcome, agent, converse
from tests.unit.hub.conftest import Bench

AGENT = a.Association(
    0x80000000, 0x8000, 0x80000000, 0, 0x00800000, bytes.fromhex("0011223344556677"), 0x4000, 1, 1, 0
)
KEY = memo_key(AGENT.system_id, AGENT.config_id)
ACCEPTED, UNKNOWN = 0, 3
PATIENCE_S = 20.0


def results(outcome: Outcome) -> list[int]:
    """The result of each association response."""
    sent = [a.decode(octets) for octets in outcome.host.sent]
    return [each.result for each in sent if isinstance(each, a.Aare)]


def told(records: list[MeterRecord]) -> list[str | None]:
    return [None if record.inr is None else record.inr.text for record in records]


def test_a_configuration_is_told_once_whatever_became_of_the_driver_since() -> None:
    first = converse(agent())
    second = converse(agent(), before=first)
    assert results(first) == [UNKNOWN]
    assert results(second) == [ACCEPTED]
    assert told(second.records) == told(first.records)
    assert second.host.memos == first.host.memos
    assert list(first.host.memos) == [memo_key(bytes.fromhex("0011223344556677"), 0x4000)]


@pytest.mark.parametrize("transfer", Transfer)
@pytest.mark.parametrize("form", Form)
def test_every_transfer_on_a_known_configuration(transfer: Transfer, form: Form) -> None:
    dialect = Dialect(transfer=transfer, form=form, entries_per_event=3, sent_once=False)
    first = converse(agent(dialect))
    second = converse(agent(dialect), before=first)
    assert results(second) == [ACCEPTED]
    assert told(second.records) == told(first.records)
    assert len(second.records) == len(SCENARIO.memory)


def test_another_firmware_under_the_same_identifier_is_asked_anew() -> None:
    first = converse(agent())
    newer = SCENARIO.meter.model_copy(update={"firmware": "2.0"})
    second = converse(agent(identity=newer, dialect=Dialect(numbers="float")), before=first, conversations=2)
    assert results(second) == [ACCEPTED, UNKNOWN]
    assert second.agent.aborts == [0]
    assert "asked for its configuration" in str(second.host.finished[0].error)
    assert told(second.records) == told(first.records)
    third = converse(agent(identity=newer, dialect=Dialect(numbers="float")), before=second)
    assert results(third) == [ACCEPTED]


@pytest.mark.parametrize("form", [Form.FIXED, Form.PERSON_FIXED])
def test_a_layout_that_changed_in_silence_is_noticed_before_anything_is_confirmed(form: Form) -> None:
    first = converse(agent(Dialect(form=form)))
    second = converse(agent(Dialect(form=form, numbers="float")), before=first, conversations=2)
    assert results(second) == [ACCEPTED, UNKNOWN]
    assert told(second.records) == told(first.records)
    assert len(second.records) == len(SCENARIO.memory)
    assert [end.error is None for end in second.host.finished] == [False, True]


def test_a_store_that_was_added_in_silence_is_found_at_the_next_association() -> None:
    first = converse(agent())
    store = Dialect(transfer=Transfer.STORE, sent_once=False)
    second = converse(agent(store), before=first)
    assert (results(second), second.records) == ([ACCEPTED], [])
    third = converse(agent(store), before=second)
    assert results(third) == [UNKNOWN]
    assert len(third.records) == len(SCENARIO.memory)
    assert results(converse(agent(store), before=third)) == [ACCEPTED]


def test_a_meter_that_does_not_say_who_it_is_tells_its_configuration_each_time() -> None:
    fault = Fault(kind=FaultKind.REFUSES_MDS)
    first = converse(agent(faults=[fault]))
    assert first.host.memos == {}
    assert results(converse(agent(faults=[fault]), before=first)) == [UNKNOWN]
    known = converse(agent())
    refused = converse(agent(faults=[fault]), before=known)
    assert len(refused.records) == len(SCENARIO.memory)
    assert results(converse(agent(), before=refused)) == [UNKNOWN]


def find(memos: Mapping[str, bytes], accepts: frozenset[int] = frozenset()) -> bytes | None:
    found = KnownConfigurations(memos, accepts).find(AGENT)
    return None if found is None else found.octets


def memo() -> bytes:
    (kept,) = KnownConfigurations({}, frozenset()).learn(AGENT, CONFIGURATION, bytes(32))
    assert kept.key == KEY
    return kept.octets


@given(st.binary(max_size=300))
def test_octets_that_are_no_memo_are_passed_over(octets: bytes) -> None:
    assert find({KEY: octets}) is None


@given(st.integers(0, len(memo()) - 1), st.integers(1, 255))
def test_a_memo_with_one_wrong_octet_is_passed_over(place: int, change: int) -> None:
    octets = bytearray(memo())
    octets[place] ^= change
    assert find({KEY: memo()}) == CONFIGURATION
    assert find({KEY: bytes(octets)}) is None
    assert find({KEY: memo()[:place]}) is None


def test_a_memo_of_another_meter_or_configuration_is_passed_over() -> None:
    for other in (replace(AGENT, system_id=bytes(8)), replace(AGENT, config_id=0x4001)):
        assert KnownConfigurations({KEY: memo()}, frozenset()).find(other) is None
        key = memo_key(other.system_id, other.config_id)
        assert KnownConfigurations({key: memo()}, frozenset()).find(other) is None
    wrong_id = CONFIGURATION.replace(b"\x40\x00", b"\x40\x01", 1)
    (foreign,) = KnownConfigurations({}, frozenset()).learn(AGENT, wrong_id, bytes(32))
    assert find({KEY: foreign.octets}) is None


def test_a_profile_that_wants_something_else_now_does_not_take_it() -> None:
    assert find({KEY: memo()}, frozenset({(2 << 16) | 29188})) == CONFIGURATION
    assert find({KEY: memo()}, frozenset({(2 << 16) | 28948})) is None


def test_what_a_conversation_remembers_is_bounded() -> None:
    known = KnownConfigurations({}, frozenset())
    for number in range(500):
        one = replace(AGENT, system_id=number.to_bytes(8, "big"))
        assert len(known.learn(one, CONFIGURATION, bytes(32))) == 1
    assert known.find(replace(AGENT, system_id=(499).to_bytes(8, "big"))) is not None
    assert known.find(replace(AGENT, system_id=bytes(8))) is None
    huge = CONFIGURATION + bytes(70_000)
    assert known.learn(AGENT, huge, bytes(32)) == []
    strange = replace(AGENT, system_id=bytes(300))
    assert known.learn(strange, CONFIGURATION, bytes(32)) == []
    assert known.find(strange) is None


def test_a_meter_that_tells_a_configuration_although_it_is_known_is_asked_next_time() -> None:
    who = (a.Attribute(0x0928, bytes(4)),)
    (kept,) = KnownConfigurations({}, frozenset()).learn(AGENT, CONFIGURATION, identity_of(who))
    session = Manager(memos={KEY: kept.octets})
    session.opened(0.0)
    request = a.Aarq(0x80000000, (a.DataProtocol(20601, AGENT),)).encode()
    assert Context(CONFIGURATION) in session.receive(request, 0.0)
    session.receive(a.GetReply(1, 0, who).encode(), 0.0)
    assert Memo(KEY, b"") in session.receive(CONFIGURATION, 0.0)
    session.abort(0.0)
    sent = [event.octets for event in session.receive(request, 10.0) if isinstance(event, Send)]
    answer = a.decode(sent[0])
    assert isinstance(answer, a.Aare)
    assert answer.result == UNKNOWN


def test_a_cable_that_is_pulled_costs_no_memo() -> None:
    session = Manager(memos={KEY: memo()})
    session.opened(0.0)
    session.receive(a.Aarq(0x80000000, (a.DataProtocol(20601, AGENT),)).encode(), 0.0)
    assert [type(event) for event in session.lost(1.0)] == [Finished]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    with suppress(Exception):
        bench.journal.close()


def contact(bench: Bench, meter: PhdcMeter) -> list[int]:
    """Read a USB meter as the hub does. Returns: results of the association responses."""
    driver = Ieee11073Driver({"association": {"release_when_quiet_s": 0.1}})
    bench.driver = driver  # type: ignore[assignment]  # the bench asks it to decode, no more
    intake = bench.intake(Line("meter", "meter", "ieee11073"))
    stop = threading.Event()
    answers: list[int] = []
    with open_phdc("phdc:", backend=Bus(meter)) as transport:
        write = transport.write

        def watched(octets: bytes) -> None:
            answers.extend([int.from_bytes(octets[4:6], "big")] if octets.startswith(b"\xe3\x00") else [])
            write(octets)

        transport.write = watched  # type: ignore[method-assign]  # to see what is said
        session = driver.session(intake.unfinished(), intake.memos())
        conversing = threading.Thread(target=Contact("meter", transport, session, intake).run, args=(stop,))
        conversing.start()
        ends_s = time.monotonic() + PATIENCE_S
        while (meter.agent.deliveries.unsent or meter.agent.state != "unassociated") and time.monotonic() < ends_s:
            time.sleep(0.01)
        stop.set()
        conversing.join(PATIENCE_S)
    return answers


def test_the_journal_keeps_it_across_a_restart_and_readings_are_decoded_with_it(bench: Bench) -> None:
    assert contact(bench, PhdcMeter(agent())) == [UNKNOWN]
    first = len(bench.readings)
    bench.journal.close()
    bench.again()
    assert contact(bench, PhdcMeter(agent())) == [ACCEPTED]
    readings = bench.readings
    assert len(readings) == 2 * first == 2 * len(SCENARIO.memory)
    values = [reading.result.inr.text if reading.result and reading.result.inr else None for reading in readings]
    assert values[:first] == values[first:]
    assert {reading.meter.serial for reading in readings if reading.meter} == {"SN000123"}
    for message in (1, len(SCENARIO.memory) + 1):  # of either conversation the first
        contexts = [piece.octets for piece in bench.journal.pieces(message) if piece.context]
        assert [type(a.decode(octets)).__name__ for octets in contexts] == ["Aarq", "EventReport", "GetReply"]
