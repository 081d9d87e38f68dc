"""The state table: whole, and walked by the manager itself in every state with everything that can happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from drivers.contract import Context, Event, Finished, Piece, Rejected, Send
from drivers.protocols.ieee11073 import apdu as a
from drivers.protocols.ieee11073.association import response
from drivers.protocols.ieee11073.configuration import ConfigReport
from drivers.protocols.ieee11073.known_configurations import KnownConfigurations
from drivers.protocols.ieee11073.manager import Manager
from drivers.protocols.ieee11073.procedure import Settings
from drivers.protocols.ieee11073.scans import Form, Scan, ScanReport
from drivers.protocols.ieee11073.states import TABLE, Act, Happening, State
from tests.protocol.ieee11073.conftest import CONFIGURATION, REPORT

AGENT = a.Association(
    0x80000000, 0x8000, 0x80000000, 0, 0x00800000, bytes.fromhex("0011223344556677"), 0x4000, 1, 1, 0
)
REQUEST = a.Aarq(0x80000000, (a.DataProtocol(20601, AGENT),)).encode()
KNOWN_REQUEST, STRANGE_REQUEST = (
    a.Aarq(0x80000000, (a.DataProtocol(20601, replace(AGENT, config_id=config_id)),)).encode()
    for config_id in (0x4001, 0x4002)
)
FOREIGN_REQUEST = a.Aarq(0x80000000, (a.DataProtocol(0xFFFF, b""),)).encode()
SETTINGS = Settings(release_when_quiet_s=0)

SAYS: dict[Happening, bytes] = {
    Happening.AARQ_KNOWN: KNOWN_REQUEST,
    Happening.AARQ_UNKNOWN: STRANGE_REQUEST,
    Happening.AARQ_UNACCEPTABLE: FOREIGN_REQUEST,
    Happening.AARE: response(0, AGENT, bytes(8)).encode(),
    Happening.RLRQ: a.Rlrq().encode(),
    Happening.RLRE: a.Rlre().encode(),
    Happening.ABRT: a.Abrt().encode(),
    Happening.CONFIG_REPORT: CONFIGURATION,
    Happening.CONFIRMED_EVENT: REPORT,
    Happening.EVENT: a.EventReport(9, confirmed=False, handle=0, time=0, event=0x0D1D, info=REPORT[22:]).encode(),
    Happening.ORDER: a.Get(7, handle=0).encode(),
    Happening.STRAY_ANSWER: a.GetReply(4711, 0, ()).encode(),
    Happening.DAMAGED: bytes.fromhex("e70000040002aabb"),
}
"""What a meter sends so that it happens; the configuration 4001 is known to the manager."""


def all_of(events: list[Event], session: Manager) -> list[Event]:
    """Events with every piece confirmed."""
    found: list[Event] = []
    for event in events:
        found.append(event)
        if isinstance(event, Piece):
            found += all_of(session.confirm(1.0), session)
    return found


def fresh() -> Manager:
    known = KnownConfigurations({}, frozenset())
    report = CONFIGURATION.replace(b"\x40\x00", b"\x40\x01", 1)
    memos = known.learn(replace(AGENT, config_id=0x4001), report, bytes(32))
    return Manager(SETTINGS, {memo.key: memo.octets for memo in memos})


def brought_to(state: State) -> Manager:
    """A manager in a state, with its requests answered."""
    session = fresh()
    if state is State.DISCONNECTED:
        return session
    session.opened(0.0)
    if state is State.UNASSOCIATED:
        return session
    session.receive(REQUEST, 0.0)
    if state is State.WAITING_FOR_CONFIG:
        return session
    asked = [event for event in session.receive(CONFIGURATION, 0.0) if isinstance(event, Send)]
    get = a.decode(asked[-1].octets)
    assert isinstance(get, a.Get)
    session.receive(a.GetReply(get.invoke_id, 0, ()).encode(), 0.0)
    if state is State.DISASSOCIATING:
        session.release(0.0)
    return session


WALKED = [State.UNASSOCIATED, State.WAITING_FOR_CONFIG, State.OPERATING, State.DISASSOCIATING]
"""A configuration is examined at once, so no manager stands still in 7."""


def test_the_table_is_whole() -> None:
    assert set(TABLE) == {(state, happening) for state in State for happening in Happening}
    assert {transition.act for transition in TABLE.values()} == set(Act)
    for (state, _), transition in TABLE.items():
        assert transition.row.startswith(f"{state.value}.")


@pytest.mark.parametrize("state", WALKED)
@pytest.mark.parametrize("happening", SAYS)
def test_every_state_with_everything_a_meter_can_send(state: State, happening: Happening) -> None:
    session = brought_to(state)
    assert session.state is state
    events = all_of(session.receive(SAYS[happening], 1.0), session)
    transition = TABLE[state, happening]
    if transition.act is Act.CHECK_CONFIG:
        assert session.state is State.OPERATING
    else:
        assert session.state is transition.after
    assert shows(transition.act, events), (transition, events)


def shows(act: Act, events: list[Event]) -> bool:
    """Whether the events are what the act promises."""
    sent = [a.decode(event.octets) for event in events if isinstance(event, Send)]
    ends = [event for event in events if isinstance(event, Finished)]
    kinds = [type(each).__name__ for each in sent]
    expectations: dict[Act, Callable[[], bool]] = {
        Act.NOTHING: lambda: not sent and not ends,
        Act.ABORT_STALE: lambda: not sent and not ends,
        Act.ACCEPT_KNOWN: lambda: kinds == ["Aare", "Get"] and sent[0] == response(0, AGENT, SETTINGS.system_id),
        Act.ACCEPT_UNKNOWN: lambda: sent == [response(3, AGENT, SETTINGS.system_id)],
        Act.REJECT: lambda: kinds == ["Aare"] and len(ends) == 1 and ends[0].error is not None,
        Act.ABORT: lambda: sent == [a.Abrt(0)] and len(ends) == 1 and ends[0].error is not None,
        Act.ABORTED: lambda: not sent and len(ends) == 1 and ends[0].error is not None,
        Act.CHECK_CONFIG: lambda: kinds == ["EventReply", "Get"] and any(isinstance(e, Context) for e in events),
        Act.KEEP: lambda: any(isinstance(event, Piece) for event in events),
        Act.TAKE_ANSWER: lambda: True,
        Act.REFUSE_ORDER: lambda: sent == [a.OperationError(7, 1)],
        Act.REFUSE_EVENT: lambda: kinds == ["OperationError"] and not ends,
        Act.ANSWER_RELEASE: lambda: sent == [a.Rlre()] and len(ends) == 1,
        Act.ANSWER_CROSSING_RELEASE: lambda: sent == [a.Rlre()] and not ends,
        Act.RELEASED: lambda: not sent and len(ends) == 1 and ends[0].error is None,
    }
    return expectations[act]()


@pytest.mark.parametrize("state", WALKED)
def test_the_cable_is_pulled_in_every_state(state: State) -> None:
    session = brought_to(state)
    events = session.lost(1.0)
    assert session.state is State.DISCONNECTED
    assert [type(event) for event in events] == [Finished]
    assert session.receive(REQUEST, 2.0) == []
    assert session.lost(2.0) == []


@pytest.mark.parametrize(
    ("state", "reason"), [(State.WAITING_FOR_CONFIG, 3), (State.DISASSOCIATING, 2), (State.UNASSOCIATED, None)]
)
def test_time_is_up_in_every_state_that_waits(state: State, reason: int | None) -> None:
    session = brought_to(state)
    assert session.deadline_s is not None
    assert session.tick(session.deadline_s - 0.01) == []
    events = session.tick(session.deadline_s)
    ends = [event for event in events if isinstance(event, Finished)]
    assert len(ends) == 1
    assert ends[0].error is not None
    if reason is None:
        assert ends[0].close
        assert "Unplug it" in str(ends[0].error)
    else:
        assert Send(a.Abrt(reason).encode()) in events


@pytest.mark.parametrize("state", [State.WAITING_FOR_CONFIG, State.OPERATING])
def test_a_release_that_is_wanted(state: State) -> None:
    session = brought_to(state)
    assert session.release(1.0) == [Send(a.Rlrq().encode())]
    assert session.state is State.DISASSOCIATING
    assert [type(event) for event in session.receive(a.Rlre().encode(), 1.0)] == [Finished]


@pytest.mark.parametrize("state", [State.WAITING_FOR_CONFIG, State.OPERATING, State.DISASSOCIATING])
def test_an_abort_that_is_wanted(state: State) -> None:
    session = brought_to(state)
    events = session.abort(1.0)
    assert events[0] == Send(a.Abrt(0).encode())
    assert session.state is State.UNASSOCIATED


def test_an_unanswered_get_is_aborted_with_response_timeout() -> None:
    session = fresh()
    session.opened(0.0)
    session.receive(REQUEST, 0.0)
    session.receive(CONFIGURATION, 0.0)
    assert session.deadline_s == 3.0
    events = session.tick(3.0)
    assert events[0] == Send(a.Abrt(2).encode())
    assert session.state is State.UNASSOCIATED


def test_a_standard_configuration_without_objects_is_answered_with_unknown() -> None:
    session = brought_to(State.WAITING_FOR_CONFIG)
    info = ConfigReport(0x0708, ()).encode()
    report = a.EventReport(5, confirmed=True, handle=0, time=0xFFFFFFFF, event=0x0D1C, info=info)
    events = session.receive(report.encode(), 1.0)
    reply = a.decode(events[0].octets) if isinstance(events[0], Send) else None
    assert isinstance(reply, a.EventReply)
    assert reply.info.hex() == "07080002"
    assert session.deadline_s == 11.0
    assert any(isinstance(event, Context) for event in session.receive(CONFIGURATION, 2.0))
    assert session.state is State.OPERATING


def test_a_configuration_without_inr_is_refused(published: dict[str, bytes]) -> None:
    session = Manager(Settings(accepts=frozenset({(2 << 16) | 29188})))
    session.opened(0.0)
    session.receive(REQUEST, 0.0)
    events = session.receive(published["H221"], 0.0)
    reply = a.decode(events[0].octets) if isinstance(events[0], Send) else None
    assert isinstance(reply, a.EventReply)
    assert reply.info.hex() == "40000001"
    assert session.state is State.WAITING_FOR_CONFIG
    ends = [event for event in session.receive(a.Rlrq(2).encode(), 1.0) if isinstance(event, Finished)]
    assert "another kind of meter" in str(ends[0].error)


def test_a_request_repeated_at_once_was_on_its_way_before_the_answer() -> None:
    session = brought_to(State.WAITING_FOR_CONFIG)
    assert session.receive(REQUEST, 0.1) == []
    again = session.receive(REQUEST, 10.0)
    assert again == [Send(response(3, AGENT, SETTINGS.system_id).encode())]
    assert session.state is State.WAITING_FOR_CONFIG


def test_what_is_left_of_an_earlier_association_does_not_spoil_the_next() -> None:
    session = fresh()
    session.opened(0.0)
    events = session.receive(SAYS[Happening.STRAY_ANSWER] + REQUEST, 0.0)
    assert [type(event) for event in events] == [Context, Send]
    assert session.state is State.WAITING_FOR_CONFIG


def test_an_agent_that_believes_in_an_earlier_association_is_told() -> None:
    session = fresh()
    session.opened(0.0)
    session.receive(REPORT, 0.0)
    assert session.deadline_s == 1.0
    assert session.tick(1.0) == [Send(a.Abrt(0).encode())]
    session.receive(REQUEST, 2.0)
    assert session.state is State.WAITING_FOR_CONFIG


def test_octets_that_are_no_apdu_end_the_connection() -> None:
    session = brought_to(State.OPERATING)
    events = session.receive(b"\x12\x34rubbish", 1.0)
    assert [type(event) for event in events] == [Rejected, Send, Finished]
    assert isinstance(events[-1], Finished)
    assert events[-1].close
    assert session.receive(REQUEST, 2.0) == []


def test_an_agent_that_floods_is_cut_off() -> None:
    session = brought_to(State.OPERATING)
    assert isinstance(session.receive(REPORT, 1.0)[-1], Piece)
    ended: list[Event] = []
    for _ in range(40):
        ended += session.receive(bytes(32_768), 1.0)
    assert [type(event) for event in ended] == [Rejected, Send, Finished]


def test_a_report_that_changes_a_unit_becomes_context_for_the_next_once() -> None:
    session = brought_to(State.OPERATING)
    told = a.encode_attributes((a.Attribute(0x0A4C, b"\xf0\x19"), a.Attribute(0x0996, b"\x02\x20")))
    scans = (Scan(None, 1, told, 0),)
    info = ScanReport(Form.VARIABLE, by_person=False, request_id=0xF000, number=1, scans=scans).encode()
    for invoke_id, is_new in ((1, True), (2, False)):
        report = a.EventReport(invoke_id, confirmed=True, handle=0, time=0, event=0x0D1E, info=info).encode()
        assert session.receive(report, 1.0) == [Piece(report, starts_message=True, ends_message=True)]
        assert (Context(report) in session.confirm(1.0)) is is_new
