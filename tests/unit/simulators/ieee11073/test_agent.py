"""The simulated agent by itself: its octets against published ones, its patience, its ledger."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simulators.deliveries import Deliveries
from simulators.ieee11073 import encoding as e
from simulators.ieee11073.agent import Agent, State
from simulators.ieee11073.dialect import Dialect, Fault, FaultKind, Form, Transfer
from simulators.ieee11073.objects import config_report, observed, segments_of, status_of
from simulators.ieee11073.reports import scan_report
from simulators.ieee11073.scenario import Ieee11073Scenario, load
from simulators.ledger import Ledger, LedgerError
from simulators.meter import Clock, Entry, Identity, Kind, Meter
from simulators.scenario import ScenarioError

NOON = datetime(2026, 3, 14, 16, tzinfo=UTC)
ENTRIES = (
    Entry(at=datetime(2026, 3, 14, 11, 30, 5, tzinfo=UTC), inr="2.5", pt_seconds="29.6", strip_lot="564636"),
    Entry(at=datetime(2026, 3, 14, 11, 40, tzinfo=UTC), inr=">8.0"),
    Entry(at=datetime(2026, 3, 14, 11, 50, tzinfo=UTC), kind=Kind.CONTROL, inr="1.1"),
    Entry(at=datetime(2026, 3, 14, 11, 55, tzinfo=UTC), kind=Kind.ERROR, error_code="sample-size-insufficient"),
)
REQUEST = bytes.fromhex(
    "e2000032800000000001002a507900268000000080008000000000000000008000000008887766554433221140000001010000000000"
)
"""An association request as the standard's walk through one prints it."""
ACCEPTED = bytes.fromhex(
    "e300002c0000507900268000000080008000000000000000800000000008112233445566778800000000000000000000"
)
UNKNOWN = ACCEPTED[:4] + b"\x00\x03" + ACCEPTED[6:]
GET_MDS = bytes.fromhex("e700000e000c345601030006000000000000")


def meter() -> Meter:
    return Meter(Identity(), Clock(), ENTRIES)


def agent(dialect: Dialect | None = None, ledger: Ledger | None = None, *faults: Fault) -> Agent:
    made = meter()
    dialect = dialect or Dialect(system_id="8877665544332211")
    return Agent(made, dialect, Deliveries(made, ledger or Ledger()), lambda: NOON, faults)


def confirmation(report: bytes, *, info: bytes = b"") -> bytes:
    """The manager's reply to a confirmed event report."""
    body = report[12:20] + e.octet_string(info)
    return e.data_apdu(int.from_bytes(report[6:8], "big"), 0x0201, body)


def operating(subject: Agent) -> list[bytes]:
    """Associate with a known configuration and ask who it is; what it says then."""
    subject.connected(0.0)
    subject.receive(ACCEPTED, 0.0)
    return subject.receive(GET_MDS, 0.0)


def test_the_association_request_is_the_published_one() -> None:
    assert agent().connected(0.0) == [REQUEST]


@pytest.mark.parametrize(
    ("shown", "octets"),
    [
        ("2.5", "f019"),
        ("29.6", "f128"),
        ("98", "0062"),
        (">8.0", "07fe"),
        ("<0.8", "0802"),
        (None, "07ff"),
        ("-1", "0fff"),
    ],
)
def test_numbers_as_sfloat(shown: str | None, octets: str) -> None:
    assert e.sfloat_of(shown).hex() == octets


@pytest.mark.parametrize(
    ("shown", "octets"), [("62.4", "ff000270"), (">8.0", "007ffffe"), ("<0.8", "00800002"), (None, "007fffff")]
)
def test_numbers_as_float(shown: str | None, octets: str) -> None:
    assert e.float_of(shown).hex() == octets


def test_a_number_that_does_not_fit_names_the_remedy() -> None:
    with pytest.raises(ValueError, match="numbers = 'float'"):
        e.sfloat_of("2.4567")


def test_times_are_packed_digits_and_zeros_when_unset() -> None:
    assert e.absolute_time(datetime(2026, 3, 14, 7, 30, 5, 120_000)).hex() == "2026031407300512"
    assert e.absolute_time(None) == bytes(8)
    assert e.base_offset_time(datetime(2026, 3, 14, 7, 30, 5), -240).hex() == "69b546bd0000ff10"


def test_a_fixed_report_holds_value_and_stamp_by_handle() -> None:
    report = scan_report(meter().memory[:1], Dialect(), 0xF000, 1, 0)
    assert report[:8].hex() == "f000000100030034"
    assert report[8:22].hex() == "0001000af0192026031407300500"
    assert report[22:36].hex() == "0002000af1282026031407300500"


def test_a_variable_report_names_its_attributes() -> None:
    report = scan_report(meter().memory[:1], Dialect(form=Form.VARIABLE), 0xF000, 1, 0)
    assert report[8:14].hex() == "000100020012"
    assert report[14:20].hex() == "0a4c0002f019"


def test_out_of_range_error_and_control_show_in_status_and_object() -> None:
    stored = meter().memory
    assert [status_of(test) for test in stored] == [0, 0x0400, 0, 0x2000]
    terms = [[each.term for each in observed(test, Dialect(), 0)] for test in stored]
    assert terms == [[29188, 29192, 29300], [29188, 29301], [29204], [29301]]


def test_controls_have_segments_of_their_own() -> None:
    segments = segments_of(meter().memory, Dialect(entries_per_segment=2))
    assert [(each.instance, len(each.tests)) for each in segments] == [(1, 2), (2, 1), (3, 1)]


def test_a_standard_configuration_is_offered_without_objects() -> None:
    dialect = Dialect(standard_first=0x0708)
    assert config_report(dialect, 0x0708).hex() == "070800000000"
    subject = agent(dialect)
    subject.connected(0.0)
    (report,) = subject.receive(UNKNOWN, 0.0)
    (again,) = subject.receive(confirmation(report, info=e.u16(0x0708, 2)), 0.0)
    assert again[22:24].hex() == "4000"


def test_it_asks_three_times_and_then_waits_for_the_cable() -> None:
    subject = agent()
    assert subject.connected(0.0) == [REQUEST]
    assert subject.tick(9.9) == []
    assert subject.tick(10.0) == [REQUEST]
    assert subject.tick(20.0) == [REQUEST]
    assert subject.tick(30.0) == [bytes.fromhex("e60000020002")]


def test_reports_come_one_by_one_and_the_ledger_knows_what_was_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    subject = agent(None, ledger)
    mds, report = operating(subject)
    assert mds[:2] == b"\xe7\x00"
    assert [line["event"] for line in map(json.loads, path.read_text().splitlines())] == ["holds"] * 4
    for confirmed in range(1, 5):
        answers = subject.receive(confirmation(report), 0.0)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(lines) == 4 + confirmed
        assert lines[-1]["event"] == "received"
        assert lines[-1]["entries"] == [confirmed - 1]
        assert len(answers) == 1
        report = answers[0]
    assert report == bytes.fromhex("e40000020000")
    ledger.close()
    again = Ledger(path)
    assert Deliveries(meter(), again).unsent == ()
    again.close()


def test_a_ledger_of_another_meter_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    Deliveries(meter(), ledger)
    with pytest.raises(LedgerError, match="test 0 is another one"):
        Deliveries(Meter(Identity(), Clock(), ENTRIES[1:]), ledger)
    ledger.close()


def test_a_report_without_confirmation_is_not_received_and_the_association_is_over() -> None:
    subject = agent()
    operating(subject)
    assert subject.tick(3.0) == [bytes.fromhex("e60000020002")]
    assert subject.deliveries.delivered == ()
    assert subject.tick(5.0) == [REQUEST]


def test_segments_are_sent_when_ordered_and_cleared_only_when_ordered() -> None:
    subject = agent(Dialect(transfer=Transfer.STORE, entries_per_event=2))
    (mds,) = operating(subject)
    assert mds
    order = e.data_apdu(1, 0x0107, e.u16(8, 0x0C0D) + e.octet_string(e.u16(1, 2, 0)))
    (listed,) = subject.receive(order, 0.0)
    assert listed[18:20] == e.u16(2)
    trigger = e.data_apdu(2, 0x0107, e.u16(8, 0x0C1C) + e.octet_string(e.u16(1)))
    reply, first = subject.receive(trigger, 0.0)
    assert reply[-4:] == e.u16(1, 0)
    description = first[22:34]
    assert description.hex() == "000100000000000000028000"
    (second,) = subject.receive(confirmation(first, info=description[:10] + e.u16(0x0080)), 0.0)
    assert second[22:34].hex() == "000100000002000000014000"
    assert len(subject.deliveries.delivered) == 2


def test_a_segment_that_is_refused_is_not_received() -> None:
    subject = agent(Dialect(transfer=Transfer.STORE))
    operating(subject)
    trigger = e.data_apdu(2, 0x0107, e.u16(8, 0x0C1C) + e.octet_string(e.u16(1)))
    _, event = subject.receive(trigger, 0.0)
    assert subject.receive(confirmation(event, info=event[22:32] + e.u16(0x0008)), 0.0) == []
    assert subject.deliveries.delivered == ()


def test_an_order_that_is_not_known_is_answered_with_an_error() -> None:
    subject = agent(Dialect(transfer=Transfer.STORE))
    operating(subject)
    order = e.data_apdu(9, 0x0107, e.u16(0, 0x0C99) + e.octet_string(b""))
    assert subject.receive(order, 0.0) == [bytes.fromhex("e700000c000a00090300000400090000")]


def test_silence_is_a_fault_that_can_be_asked_for() -> None:
    assert agent(None, None, Fault(kind=FaultKind.SILENT)).connected(0.0) == []


def test_what_is_received_in_any_chunking_is_the_same() -> None:
    whole, split = agent(), agent()
    expected = operating(whole)
    split.connected(0.0)
    said = [apdu for octet in ACCEPTED + GET_MDS for apdu in split.receive(bytes([octet]), 0.0)]
    assert said == expected
    assert split.state is State.OPERATING


def test_a_scenario_file(tmp_path: Path) -> None:
    path = tmp_path / "meter.toml"
    path.write_text(
        'schema = "inr-gateway/ieee11073-scenario/1"\n[dialect]\ntransfer = "store"\n'
        '[[memory]]\nat = 2026-03-10T07:28:00-04:00\ninr = "2.5"\n[usb]\nproduct_id = 22\n'
    )
    scenario = load(path)
    assert scenario.dialect.transfer is Transfer.STORE
    assert scenario.usb.product_id == 22
    assert isinstance(scenario, Ieee11073Scenario)


@pytest.mark.parametrize(
    ("text", "named"),
    [("[dialect]\ntransfer = 'pigeon'\n", "dialect.transfer"), ("a = ", "not valid TOML"), ("x = 1", "x: ")],
)
def test_a_scenario_that_does_not_fit_names_the_key(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "meter.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=named):
        load(path)
