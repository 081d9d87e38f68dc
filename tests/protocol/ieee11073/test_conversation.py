"""Simulated agent and session together: whole memories, every chunking, every cut, every fault."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Finished, MeterRecord, Piece, Rejected, Send, Unreadable
from drivers.errors import DeviceError
from drivers.meters.ieee11073 import Ieee11073Driver
from drivers.protocols.ieee11073 import apdu as a
from drivers.protocols.ieee11073 import information, nomenclature
from drivers.protocols.ieee11073.manager import Manager
from drivers.protocols.ieee11073.segments import Selection
from drivers.protocols.ieee11073.states import State
from simulators.ieee11073.dialect import Dialect, Fault, FaultKind, Form, Stamp, Transfer
from simulators.meter import Clock, ClockKind, Entry, Kind
from tests.protocol.ieee11073.conversation import SCENARIO, Outcome, agent, converse

MEMORY = [
    ("patient", "2.4", None, "28.4", "32"),
    ("control", "1.1", None, "13.0", "87"),
    ("patient", "2.7", None, "32.0", "28"),
    ("patient", None, ">", None, None),
    ("patient", "3.6", None, "42.6", "20"),
    ("error", None, None, None, None),
    ("patient", "2.9", None, "34.3", "26"),
    ("patient", "2.5", None, "29.6", "31"),
]
"""The patient's five weeks: kind, INR, comparator, PT, Quick."""


def said(record: MeterRecord) -> tuple[str, str | None, str | None, str | None, str | None]:
    def number(quantity: object) -> str | None:
        value = getattr(quantity, "value", None)
        return None if value is None else str(value)

    comparator = record.inr.comparator if record.inr is not None else None
    return (
        record.kind.value,
        number(record.inr),
        comparator,
        number(record.pt_seconds),
        number(record.quick_percent),
    )


def in_order(outcome: Outcome) -> list[MeterRecord]:
    """Records as the tests were made; the store sends controls in a segment of their own."""
    return sorted(outcome.records, key=shown)


def shown(record: MeterRecord) -> datetime:
    assert record.device_time is not None
    assert record.device_time.local is not None
    return record.device_time.local


@pytest.mark.parametrize("transfer", Transfer)
@pytest.mark.parametrize("form", Form)
def test_a_whole_memory_arrives(transfer: Transfer, form: Form) -> None:
    outcome = converse(agent(Dialect(transfer=transfer, form=form, entries_per_event=3, tests_per_report=2)))
    assert [said(record) for record in in_order(outcome)] == MEMORY
    assert [end.error for end in outcome.host.finished] == [None]
    delivered = [] if transfer is Transfer.ASKED else list(SCENARIO.memory)
    assert [test.entry for test in outcome.agent.deliveries.delivered] == delivered
    assert outcome.agent.state == "unassociated"
    assert not outcome.host.rejected


@pytest.mark.parametrize("numbers", ["sfloat", "float"])
def test_numbers_of_either_size(numbers: str) -> None:
    outcome = converse(agent(Dialect.model_validate({"numbers": numbers})))
    assert [said(record) for record in outcome.records] == MEMORY


def test_the_meter_is_known_by_its_serial_number_and_its_clock_was_read() -> None:
    outcome = converse(agent())
    decoded = outcome.decoded[0]
    assert decoded.meter.vendor == "ACME"
    assert decoded.meter.serial == "SN000123"
    assert decoded.meter.model == "HomeINR"
    assert decoded.meter.firmware == "1.2"
    assert decoded.clock is not None
    assert decoded.clock.time.local == datetime(2026, 3, 14, 12)
    message = outcome.host.messages[0]
    assert isinstance(a.decode(message[decoded.clock.piece]), a.GetReply)


def test_a_record_decodes_from_its_own_octets() -> None:
    for dialect in (Dialect(tests_per_report=3), Dialect(transfer=Transfer.STORE, entries_per_event=4)):
        outcome = converse(agent(dialect))
        for record in outcome.records:
            alone = outcome.driver.decode([record.octets])
            assert alone.items == (record,)
            assert alone.meter.serial == "SN000123"


def test_an_agent_that_offers_a_standard_configuration_first() -> None:
    outcome = converse(agent(Dialect(standard_first=0x0708)))
    assert [said(record) for record in outcome.records] == MEMORY


def test_reports_before_it_is_known_who_sends_them_wait_for_that() -> None:
    outcome = converse(agent(Dialect(eager=True)))
    assert {decoded.meter.serial for decoded in outcome.decoded} == {"SN000123"}
    assert len(outcome.records) == len(MEMORY)


@pytest.mark.parametrize(("stamp", "offset"), [(Stamp.BASE_OFFSET, -240), (Stamp.ABSOLUTE, None)])
def test_stamps_say_what_the_display_shows(stamp: Stamp, offset: int | None) -> None:
    outcome = converse(agent(Dialect(stamp=stamp, offset_min=-240)))
    times = [record.device_time for record in outcome.records]
    assert times[0] is not None
    assert times[0].local == datetime(2026, 2, 10, 7, 28, 5)
    assert {time.utc_offset_min for time in times if time is not None} == {offset}


def test_a_base_that_is_not_utc_gives_no_offset() -> None:
    outcome = converse(agent(Dialect(stamp=Stamp.BASE_OFFSET, offset_min=-240, base_is_utc=False)))
    assert outcome.records[0].device_time is not None
    assert outcome.records[0].device_time.utc_offset_min is None


def test_relative_stamps_stand_beside_the_clock() -> None:
    outcome = converse(agent(Dialect(stamp=Stamp.RELATIVE)))
    time = outcome.records[0].device_time
    assert time is not None
    assert time.raw.startswith("relative ")
    assert time.local == datetime(2026, 3, 14, 12)


def test_a_clock_that_was_never_set_shows_nothing() -> None:
    outcome = converse(agent(clock=Clock(kind=ClockKind.UNSET)))
    decoded = outcome.decoded[0]
    assert decoded.clock is not None
    assert decoded.clock.time.local is None
    assert all(record.device_time is not None and record.device_time.local is None for record in outcome.records)


def test_without_a_clock_no_result_becomes_a_control_and_no_control_a_result() -> None:
    """In one report all tests have one stamp then, so that only what is repeated tells them apart."""
    outcome = converse(agent(Dialect(transfer=Transfer.ASKED), clock=Clock(kind=ClockKind.UNSET)))
    found = [
        (record.kind.value, record.inr.text if record.inr else None)
        for record in outcome.records
        if record.kind.value != "error"
    ]
    expected = [
        (entry.kind.value, {">8.0": "+INFINITY"}.get(entry.inr or "", entry.inr))
        for entry in SCENARIO.memory
        if entry.kind.value != "error"
    ]
    assert found == expected


def test_a_result_and_a_control_that_cannot_be_told_apart_wait_for_a_person() -> None:
    memory = [
        Entry(kind=kind, at=SCENARIO.memory[0].at, inr=inr)
        for kind, inr in ((Kind.PATIENT, "2.5"), (Kind.CONTROL, "1.1"), (Kind.PATIENT, "3.6"))
    ]
    outcome = converse(agent(Dialect(transfer=Transfer.ASKED), clock=Clock(kind=ClockKind.UNSET), memory=memory))
    items = [item for decoded in outcome.decoded for item in decoded.items]
    kinds = [item.kind.value if isinstance(item, MeterRecord) else str(item.error) for item in items]
    assert kinds[0] == "patient"
    assert any("cannot be told apart" in kind for kind in kinds[1:])
    assert "control" not in kinds


def test_who_tested_and_which_person() -> None:
    outcome = converse(agent(Dialect(tester="self", form=Form.PERSON_FIXED, person=7)))
    assert all("tester: self" in record.notes for record in outcome.records)
    assert {record.patient_id for record in outcome.records if record.kind.value == "patient"} == {"7"}


def test_everything_in_a_test_association_is_a_test() -> None:
    outcome = converse(agent(Dialect(test_association=True)))
    assert {record.kind.value for record in outcome.records} <= {"test", "error"}


def test_limits_of_a_sourced_profile() -> None:
    limits = {"limits": {"above": "8.0", "below": "0.8", "source": "FDA K183255"}}
    memory = [entry for entry in SCENARIO.memory if entry.inr == ">8.0"]
    memory += [Entry(at=memory[0].at, inr="<0.8")]
    records = converse(agent(memory=memory), limits).records
    assert [(record.inr and (record.inr.value, record.inr.comparator)) for record in records] == [
        (Decimal("8.0"), ">"),
        (Decimal("0.8"), "<"),
    ]
    assert [record.flags for record in records] == [("result-too-high",), ("result-too-low",)]


# -- nothing is acknowledged before it is on disk, nothing is lost ---------------------------------------------


def test_no_report_is_confirmed_before_it_is_committed() -> None:
    outcome = converse(agent())
    confirmed = 0
    for before, event in zip(outcome.host.log, outcome.host.log[1:], strict=False):
        if isinstance(event, Send) and isinstance(reply := a.decode(event.octets), a.EventReply):
            if reply.event == nomenclature.CONFIG_REPORT:
                continue
            assert isinstance(before, Piece)
            confirmed += 1
    assert confirmed == len(MEMORY)


@pytest.mark.parametrize("transfer", [Transfer.LIVE, Transfer.STORE])
def test_what_cannot_be_committed_stays_in_the_meter(transfer: Transfer) -> None:
    outcome = converse(agent(Dialect(transfer=transfer)), commits=False)
    assert outcome.agent.deliveries.delivered == ()
    assert outcome.agent.aborts == [0]
    assert outcome.host.finished[-1].close


@pytest.mark.parametrize("transfer", [Transfer.LIVE, Transfer.STORE])
def test_cut_at_every_octet_nothing_that_was_confirmed_is_missing(transfer: Transfer) -> None:
    dialect = Dialect(transfer=transfer, entries_per_event=3)
    whole = converse(agent(dialect, memory=SCENARIO.memory[:4]))
    for cut in range(1, octets_of_the_meter(whole, dialect)):
        outcome = converse(agent(dialect, memory=SCENARIO.memory[:4]), cut_after=cut)
        confirmed = {test.shown for test in outcome.agent.deliveries.delivered}
        times = set(map(shown, outcome.records))
        assert confirmed <= times, cut
        assert len(outcome.host.finished) >= 1
        assert outcome.host.finished[-1].close


def octets_of_the_meter(outcome: Outcome, dialect: Dialect) -> int:
    """How many octets the meter sent in a conversation."""
    meter = agent(dialect, memory=SCENARIO.memory[:4])
    sent = list(meter.connected(0.0))
    for octets in outcome.host.sent:
        sent += meter.receive(octets, 0.0)
    return sum(map(len, sent))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.sampled_from(list(Transfer)))
def test_any_chunking_gives_the_same_events(chunk: int, transfer: Transfer) -> None:
    dialect = Dialect(transfer=transfer)
    assert converse(agent(dialect), chunk=chunk).host.log == converse(agent(dialect)).host.log


def test_one_octet_at_a_time_gives_the_same_events() -> None:
    assert converse(agent(), chunk=1).host.log == converse(agent()).host.log


def test_a_report_sent_again_is_confirmed_again_and_not_new() -> None:
    outcome = converse(agent(faults=[Fault(kind=FaultKind.LOST_CONFIRMATION, at=2)]))
    replies = [octets for octets in outcome.host.sent if isinstance(a.decode(octets), a.EventReply)]
    assert len(replies) == len(MEMORY) + 2  # the configuration, and one report twice
    assert [said(record) for record in outcome.records] == MEMORY


def test_one_invoke_id_for_everything_loses_nothing() -> None:
    outcome = converse(agent(Dialect(one_invoke_id=True)))
    assert [said(record) for record in outcome.records] == MEMORY


def test_a_report_that_is_broken_inside_is_kept_confirmed_and_shown() -> None:
    outcome = converse(agent(faults=[Fault(kind=FaultKind.BAD_INSIDE, at=2)]))
    broken = [item for item in outcome.items if isinstance(item, Unreadable)]
    assert len(broken) == 1
    assert broken[0].error.offset is not None
    assert len(outcome.records) == len(MEMORY) - 1
    assert len(outcome.agent.deliveries.delivered) == len(MEMORY)


def test_a_report_that_is_broken_outside_is_refused_and_comes_again() -> None:
    outcome = converse(agent(faults=[Fault(kind=FaultKind.BAD_OUTSIDE, at=3)]), conversations=2)
    assert len(outcome.host.rejected) == 1
    assert outcome.agent.aborts == [0]
    first, second = outcome.host.finished
    assert first.error is outcome.host.rejected[0].error
    assert second.error is None
    assert [said(record) for record in in_order(outcome)] == MEMORY


def test_a_meter_that_aborts_starts_again_where_it_was() -> None:
    outcome = converse(agent(faults=[Fault(kind=FaultKind.ABORTS, at=4)]), conversations=2)
    assert isinstance(outcome.host.finished[0].error, DeviceError)
    assert [said(record) for record in outcome.records] == MEMORY


def test_a_segment_that_the_meter_breaks_off_is_told_and_fetched_again() -> None:
    meter = agent(
        Dialect(transfer=Transfer.STORE, entries_per_event=2), [Fault(kind=FaultKind.BREAKS_SEGMENT, at=2)]
    )
    first = converse(meter)
    assert "broke off its segment 1 after entry 4" in str(first.host.finished[0].error)
    again = converse(meter, driver=first.driver)
    assert again.host.finished[0].error is None
    assert [said(record) for record in in_order(again)] == MEMORY


def test_a_segment_that_comes_later_is_waited_for() -> None:
    outcome = converse(agent(Dialect(transfer=Transfer.STORE), [Fault(kind=FaultKind.TRY_LATER, at=2)]))
    assert outcome.host.finished[0].error is None
    assert len(outcome.records) == len(MEMORY)


def test_a_segment_that_never_comes_is_told() -> None:
    outcome = converse(agent(Dialect(transfer=Transfer.STORE), [Fault(kind=FaultKind.TRY_LATER, at=3)]))
    assert "did not send segment 1 of its store 8: try later" in str(outcome.host.finished[0].error)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (FaultKind.SILENT, "did not ask to associate within 10 s. Unplug it"),
        (FaultKind.NO_ANSWER, "took too long for an answer"),
        (FaultKind.REFUSES_MDS, "refuses to tell who it is .*access denied"),
    ],
)
def test_faults_are_told_in_words(fault: FaultKind, told: str) -> None:
    outcome = converse(agent(faults=[Fault(kind=fault)]))
    with pytest.raises(Exception, match=told):
        raise outcome.host.finished[0].error or AssertionError("no error was told")


def test_a_meter_that_does_not_say_who_it_is_is_known_by_its_address() -> None:
    outcome = converse(agent(faults=[Fault(kind=FaultKind.REFUSES_MDS)]))
    assert outcome.decoded[0].meter.serial == "0011223344556677"
    assert outcome.decoded[0].clock is None
    assert [said(record) for record in outcome.records] == MEMORY


@pytest.mark.parametrize("fault", [FaultKind.STALE_FIRST, FaultKind.ASKS_TWICE])
def test_leftovers_at_the_start_do_no_harm(fault: FaultKind) -> None:
    outcome = converse(agent(faults=[Fault(kind=fault)]))
    assert outcome.host.finished == [Finished(None)]
    assert [said(record) for record in outcome.records] == MEMORY


# -- what is asked of the meter only on order ------------------------------------------------------------------

ZONED = {"zone": "America/New_York"}


def test_a_clock_is_left_alone_unless_configured() -> None:
    meter = agent(Dialect(asks_for_time=True))
    converse(meter, ZONED)
    assert meter.clock_was_set_to is None


@pytest.mark.parametrize(("policy", "asks", "is_set"), [("when_asked", True, True), ("when_asked", False, False)])
def test_a_clock_is_set_when_the_meter_asks_for_it(policy: str, asks: bool, is_set: bool) -> None:
    meter = agent(Dialect(asks_for_time=asks, transfer=Transfer.STORE))
    outcome = converse(meter, {**ZONED, "clock": {"set": policy}})
    assert (meter.clock_was_set_to is not None) is is_set
    assert [said(record) for record in in_order(outcome)] == MEMORY
    asked = [octets for octets in outcome.host.sent if isinstance(a.decode(octets), a.Get)]
    assert len(asked) == (2 if is_set else 1)


@pytest.mark.parametrize("stamp", [Stamp.ABSOLUTE, Stamp.BASE_OFFSET])
def test_a_clock_is_set_in_its_own_form_after_everything_was_read(stamp: Stamp) -> None:
    meter = agent(Dialect(stamp=stamp, releases=False))
    outcome = converse(meter, {**ZONED, "clock": {"set": "always"}})
    orders = [each for octets in outcome.host.sent if isinstance(each := a.decode(octets), a.Action)]
    expected = nomenclature.SET_TIME if stamp is Stamp.ABSOLUTE else nomenclature.SET_BO_TIME
    assert [order.action for order in orders] == [expected]
    assert len(outcome.records) == len(MEMORY)
    assert meter.clock_was_set_to == orders[0].info[:8]


def test_stored_results_are_cleared_only_on_order() -> None:
    driver = Ieee11073Driver({"association": {"release_when_quiet_s": 30}})
    session = driver.session()
    assert isinstance(session, Manager)
    meter = agent(Dialect(transfer=Transfer.STORE))
    with pytest.raises(DeviceError, match="once everything is read"):
        session.clear_stored(8, (), 0.0)
    outcome = converse(agent(Dialect(transfer=Transfer.STORE)), driver=driver)
    actions = {each.action for octets in outcome.host.sent if isinstance(each := a.decode(octets), a.Action)}
    assert nomenclature.SEG_CLR not in actions

    to_session = list(meter.connected(0.0))
    session.opened(0.0)
    for _ in range(100):
        if not to_session:
            break
        events = session.receive(to_session.pop(0), 0.0)
        while events:
            event = events.pop(0)
            if isinstance(event, Piece):
                events = session.confirm(0.0) + events
            elif isinstance(event, Send):
                to_session += meter.receive(event.octets, 0.0)
    assert session.state is State.OPERATING
    order = session.clear_stored(8, (2,), 1.0)[0]
    assert isinstance(order, Send)
    action = a.decode(order.octets)
    assert isinstance(action, a.Action)
    assert information.read_action(action) == Selection.instances((2,))
    meter.receive(order.octets, 1.0)


def test_a_meter_left_alone_keeps_its_association_when_told_so() -> None:
    outcome = converse(agent(Dialect(releases=False)), {"association": {"release_when_quiet_s": 0}})
    assert outcome.host.finished == []
    assert outcome.host.session.state is State.OPERATING
    assert outcome.host.session.lost(1.0) == [Finished(None, close=True)]


def test_a_damaged_end_is_kept() -> None:
    driver = Ieee11073Driver({})
    session = driver.session()
    session.opened(0.0)
    session.receive(b"\xe2\x00\x00", 0.0)
    rejected, finished = session.lost(0.0)
    assert isinstance(rejected, Rejected)
    assert rejected.octets == b"\xe2\x00\x00"
    assert isinstance(finished, Finished)
    assert finished.error is not None
