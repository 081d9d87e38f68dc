"""The sensor through its GATT door: record access, live observations, clock, security, and what goes astray."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from simulators.ble.dialect import Fault
from simulators.ble.gatt import AttError, AttErrorCode, Drop, Pause, Say, Step
from simulators.ble.instrument import Instrument
from simulators.ble.scenario import BleScenario, load
from simulators.ble.table import CONTROL_POINT, ELAPSED_TIME, FEATURES, LIVE, RACP, SECURITY_LEVELS, STORED
from simulators.ledger import Ledger, LedgerError
from simulators.scenario import ScenarioError

START = datetime(2026, 3, 14, 12, tzinfo=UTC)
INR, CONTROL, STATUS = 160260, 160276, 8417909


def made(count: int) -> list[dict[str, Any]]:
    first = START - timedelta(days=count)
    return [{"at": first + timedelta(days=n), "inr": f"{2 + n / 10:.1f}"} for n in range(count)]


def meter(
    count: int = 5, *, faults: tuple[str, ...] = (), ledger: Ledger | None = None, **parts: Any
) -> Instrument:
    parts.setdefault("clock", {"zone": "America/New_York"})
    parts.setdefault("memory", made(count))
    parsed = tuple(Fault.parse(fault) for fault in faults)
    scenario = BleScenario.model_validate({"starts": START, "faults": parsed, **parts})
    return Instrument(scenario, ledger or Ledger())


class Client:
    """A hub that does everything at once."""

    def __init__(self, instrument: Instrument, *, tells: int = 2) -> None:
        self.sensor = instrument.sensor
        instrument.meets()
        self.sensor.connected(247)
        self.sensor.secured(is_encrypted=True, is_authenticated=True)
        for uuid in (LIVE, STORED):
            self.sensor.subscribe(uuid, tells)
        for uuid in (RACP, CONTROL_POINT):
            self.sensor.subscribe(uuid, 2)

    def steps(self, limit: int = 10_000) -> list[Step]:
        taken: list[Step] = []
        while len(taken) < limit and (step := self.sensor.next_step()) is not None:
            taken.append(step)
            if isinstance(step, Drop):
                self.sensor.disconnected()
            elif isinstance(step, Say):
                self.sensor.left(step)
        return taken

    def ask(self, request: str) -> list[Step]:
        self.sensor.write(RACP, bytes.fromhex(request))
        return self.steps()

    def answer(self, request: str) -> str:
        last = self.ask(request)[-1]
        assert isinstance(last, Say)
        assert last.uuid == RACP
        return last.value.hex()


def observations(steps: list[Step], uuid: str = STORED) -> list[bytes]:
    whole: list[bytes] = []
    for step in steps:
        if isinstance(step, Say) and step.uuid == uuid:
            header, piece = step.value[0], step.value[1:]
            if header & 1:
                whole.append(b"")
            whole[-1] += piece
    return whole


def numbers(steps: list[Step]) -> list[int]:
    return [struct.unpack_from("<I", each)[0] for each in observations(steps)]


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        ("0701", [1, 2, 3, 4, 5]),
        ("07020102000000", [1, 2]),
        ("07030104000000", [4, 5]),
        ("0704010200000004000000", [2, 3, 4]),
        ("0705", [1]),
        ("0706", [5]),
    ],
)
def test_each_operator_chooses_its_records_and_the_answer_counts_them(request_: str, wanted: list[int]) -> None:
    steps = Client(meter()).ask(request_)
    assert numbers(steps) == wanted
    assert isinstance(steps[-1], Say)
    assert steps[-1].value == b"\x08\x00" + struct.pack("<I", len(wanted))
    assert Client(meter()).answer("04" + request_[2:]) == "0500" + struct.pack("<I", len(wanted)).hex()


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ("0101", 2),
        ("ff00", 2),
        ("", 2),
        ("0700", 3),
        ("07", 3),
        ("0707", 4),
        ("070101", 5),
        ("0703", 5),
        ("070301", 5),
        ("07030100", 5),
        ("0703010000000000", 5),
        ("0704010500000002000000", 5),
        ("070305" + "00" * 4, 5),
        ("070302" + "00" * 9, 9),
        ("07030106000000", 6),
        ("02030106000000", 6),
        ("0301", 3),
        ("030001", 5),
        ("0300", 1),
    ],
)
def test_each_refusal_has_its_response_code(request_: str, code: int) -> None:
    opcode = request_[:2] or "00"
    assert Client(meter()).answer(request_) == f"0600{opcode}{code:02x}"


def test_a_number_of_no_records_is_zero_or_no_records() -> None:
    assert Client(meter(0)).answer("0401") == "050000000000"
    assert Client(meter(0)).answer("0701") == "06000706"


def test_an_operator_the_meter_does_not_have() -> None:
    assert Client(meter(dialect={"operators": [1, 3]})).answer("0706") == "06000704"


def test_an_abort_ends_a_report_and_another_request_waits_for_it() -> None:
    client = Client(meter())
    client.sensor.write(RACP, b"\x07\x01")
    assert len(client.steps(limit=2)) == 2
    with pytest.raises(AttError) as refused:
        client.sensor.write(RACP, b"\x04\x01")
    assert refused.value.code == AttErrorCode.PROCEDURE_IN_PROGRESS
    assert client.answer("0300") == "06000301"
    assert client.answer("0401") == "050005000000"


def test_an_abort_that_fails_lets_the_report_go_on() -> None:
    client = Client(meter(faults=("abort_fails:at=2",)))
    client.sensor.write(RACP, b"\x07\x01")
    client.steps(limit=2)
    client.sensor.write(RACP, b"\x03\x00")
    told = [step.value.hex() for step in client.steps() if isinstance(step, Say) and step.uuid == RACP]
    assert told == ["06000307", "080005000000"]


@pytest.mark.parametrize("forgets", [RACP, STORED])
def test_a_report_needs_both_characteristics_configured(forgets: str) -> None:
    client = Client(meter())
    client.sensor.subscribe(forgets, 0)
    with pytest.raises(AttError) as refused:
        client.sensor.write(RACP, b"\x07\x01")
    assert refused.value.code == AttErrorCode.CCCD_IMPROPERLY_CONFIGURED


def test_deleted_records_are_gone_also_after_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "meter.jsonl")
    client = Client(meter(ledger=ledger))
    assert client.answer("02020102000000") == "06000201"
    ledger.close()
    again = Ledger(tmp_path / "meter.jsonl")
    assert numbers(Client(meter(ledger=again)).ask("0701")) == [3, 4, 5]
    again.close()


def test_a_meter_may_notify_instead_and_nobody_confirms() -> None:
    client = Client(meter(2, dialect={"indicates": False}), tells=1)
    steps = client.ask("0701")
    assert [step.is_indication for step in steps if isinstance(step, Say)] == [False, False, True]
    with pytest.raises(AttError):
        client.sensor.subscribe(STORED, 2)


def test_numbers_that_wrap_are_numbers_all_the_same() -> None:
    wrapping = meter(5, meter={"numbers_wrap_after": 3})
    assert numbers(Client(wrapping).ask("0701")) == [1, 2, 3, 1, 2]


def test_a_ledger_of_another_memory_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "meter.jsonl")
    meter(ledger=ledger)
    with pytest.raises(LedgerError, match="another one"):
        meter(ledger=ledger, memory=[{"at": START, "inr": "9.9"}])
    ledger.close()


def test_what_was_confirmed_is_in_the_ledger() -> None:
    instrument = meter()
    client = Client(instrument)
    client.ask("07020103000000")
    assert [test.ordinal for test in instrument.sent] == [0, 1, 2]
    assert [test.ordinal for test in instrument.unsent] == [3, 4]


def test_a_test_made_while_a_hub_listens_is_live_and_stored() -> None:
    instrument = meter(2, dialect={"identifies": True})
    client = Client(instrument)
    instrument.make(instrument.meter.memory[0].entry.model_copy(update={"at": START, "inr": "3.1"}))
    assert client.steps() == []
    client.sensor.write(CONTROL_POINT, b"\x01")
    instrument.make(instrument.meter.memory[0].entry.model_copy(update={"at": START, "inr": "3.2"}))
    steps = client.steps()
    assert isinstance(steps[0], Say)
    assert (steps[0].uuid, steps[0].value) == (CONTROL_POINT, b"\x80")
    (live,) = observations(steps, LIVE)
    stored = observations(client.ask("0706"))
    assert stored == [struct.pack("<I", 4) + live]
    client.sensor.write(CONTROL_POINT, b"\x02")
    instrument.make(instrument.meter.memory[0].entry)
    assert observations(client.steps(), LIVE) == []


def test_live_ends_with_the_link() -> None:
    instrument = meter(1)
    client = Client(instrument)
    client.sensor.write(CONTROL_POINT, b"\x01")
    client.sensor.disconnected()
    again = Client(instrument)
    instrument.make(instrument.meter.memory[0].entry)
    assert again.steps() == []


@pytest.mark.parametrize("value", [b"", b"\x03", b"\x01\x00"])
def test_an_unknown_command(value: bytes) -> None:
    with pytest.raises(AttError) as refused:
        Client(meter()).sensor.write(CONTROL_POINT, value)
    assert refused.value.code == AttErrorCode.COMMAND_NOT_SUPPORTED


@pytest.mark.parametrize(("encrypted", "authenticated"), [(False, False), (True, False)])
def test_nothing_is_served_on_a_link_that_is_not_good_enough(encrypted: bool, authenticated: bool) -> None:
    sensor = meter().sensor
    sensor.connected(247)
    sensor.secured(is_encrypted=encrypted, is_authenticated=authenticated)
    for attempt in (
        lambda: sensor.read(FEATURES),
        lambda: sensor.read(ELAPSED_TIME),
        lambda: sensor.write(RACP, b"\x07\x01"),
        lambda: sensor.subscribe(STORED, 2),
    ):
        with pytest.raises(AttError) as refused:
            attempt()
        assert refused.value.code == AttErrorCode.INSUFFICIENT_AUTHENTICATION
    assert sensor.read(SECURITY_LEVELS) == b"\x01\x04"


def _kinds(steps: list[Step]) -> list[str]:
    return [type(step).__name__ for step in steps]


def _sayings(*faults: str) -> list[Step]:
    # Three records, each in two segments, then the answer.
    return Client(meter(3, faults=faults, dialect={"segment_octets": 20})).ask("0701")


def test_segments_go_astray_as_told() -> None:
    plain = _sayings()
    assert len(plain) == 7
    assert _sayings("lose:at=3") == plain[:2] + plain[3:]
    assert _sayings("duplicate:at=3") == [*plain[:3], *plain[2:]]
    assert _sayings("reorder:at=3") == [*plain[:2], plain[3], plain[2], *plain[4:]]
    assert _sayings("drop:at=3") == [*plain[:2], Drop()]
    assert _sayings("drop_after:at=3") == [*plain[:3], Drop()]
    assert _sayings("slow:at=3,seconds=0.5") == [*plain[:2], Pause(0.5), *plain[2:]]
    wrong = _sayings("wrong_counter:at=3")[2]
    assert isinstance(wrong, Say)
    assert isinstance(plain[2], Say)
    assert wrong.value[0] ^ plain[2].value[0] == 0x80
    assert wrong.value[1:] == plain[2].value[1:]


@pytest.mark.parametrize("at", range(1, 7))
def test_a_dropped_link_happens_once_and_the_next_contact_gets_everything(at: int) -> None:
    instrument = meter(3, faults=(f"drop:at={at}",), dialect={"segment_octets": 20})
    assert Drop() in Client(instrument).ask("0701")
    assert numbers(Client(instrument).ask("0701")) == [1, 2, 3]


def test_requests_go_astray_as_told() -> None:
    assert Client(meter(faults=("silent:at=1",))).ask("0701") == []
    busy = Client(meter(faults=("busy:at=2",)))
    assert [busy.answer("0701") for _ in range(3)] == ["0600070a", "0600070a", "080005000000"]
    broken = Client(meter(faults=("not_completed:at=1",))).ask("0701")
    assert numbers(broken) == [1]
    assert isinstance(broken[-1], Say)
    assert broken[-1].value.hex() == "06000708"
    assert Client(meter(faults=("wrong_count:at=1",))).answer("0701") == "080006000000"
    (first, second) = observations(Client(meter(2, faults=("bad_length:at=1",))).ask("0701"))
    assert struct.unpack_from("<H", first, 5)[0] == struct.unpack_from("<H", second, 5)[0] + 7


def test_a_bond_is_lost_before_the_connection_told() -> None:
    instrument = meter(faults=("bond_lost:at=2",))
    instrument.bonds["00:00:00:00:00:01"] = True
    instrument.meets()
    assert instrument.bonds
    instrument.meets()
    assert not instrument.bonds


def _body(test: dict[str, Any], **dialect: Any) -> bytes:
    instrument = meter(memory=[{"at": START, **test}], dialect={"stamp": "none", **dialect})
    (stored,) = observations(Client(instrument).ask("0701"))
    return stored[4:]


CODE, LOT = struct.pack("<I", INR), struct.pack("<I", 8417908)
VALUE = bytes.fromhex("d019190000ff")


def test_a_test_as_number_compound_or_bundle() -> None:
    test = {"inr": "2.5", "pt_seconds": "29.6", "strip_lot": "A1"}
    assert _body({"inr": "2.5"}) == b"\x01\x0c\0\x01\0" + CODE + VALUE
    assert _body(test, form="numeric", lots="none") == b"\x01\x0c\0\x01\0" + CODE + VALUE
    pt = bytes.fromhex("08720200018008280100ff")
    assert (
        _body(test, lots="none").hex() == (b"\x07\x1d\0\x01\0" + CODE + b"\x02" + CODE + b"\x01" + VALUE + pt).hex()
    )
    lot = LOT + b"\x03\x02\0A1"
    assert _body(test, lots="member").endswith(b"\x03" + CODE + b"\x01" + VALUE + pt + lot)
    assert b"\x01" + LOT + b"\x02\0\x19A1" in _body(test, lots="tlv")
    assert _body(test, form="bundle", lots="none", length="total").hex() == (
        "ff2400000002010f000100" + CODE.hex() + VALUE.hex() + "010f000100087202008008280100ff"
    )


def test_off_the_range_is_infinity_and_the_device_may_say_so() -> None:
    assert _body({"inr": ">8.0"})[-4:].hex() == "feff7f00"
    told = _body({"inr": "<0.8"}, status_too=True)
    assert told.endswith(struct.pack("<IBI", STATUS, 2, 0x0200))
    assert "02008000" in told.hex()


def test_a_control_says_so_by_type_or_by_status() -> None:
    control = {"kind": "control", "inr": "1.1", "control_lot": "7"}
    assert _body(control)[3:9] == b"\x01\0" + struct.pack("<I", CONTROL)
    assert _body(control, controls="status")[3:11] == b"\x09\0" + CODE + b"\x10\0"
    assert _body(control, controls="both")[3:11] == b"\x09\0" + struct.pack("<I", CONTROL) + b"\x10\0"


def test_an_error_is_a_status_or_no_number() -> None:
    failed = {"kind": "error", "error_code": "strip-insertion-error"}
    assert _body(failed) == b"\x02\x0a\0\x01\0" + struct.pack("<II", STATUS, 0x1000)
    assert _body({"kind": "error", "error_code": "E-5"})[-4:] == struct.pack("<I", 0x0020)
    assert _body(failed, errors="nan").endswith(b"\x01\0" + bytes.fromhex("d019ffff7f00"))


def _stamp(**parts: Any) -> tuple[int, int, int, int]:
    memory = [{"at": START, "inr": "2.5", **parts.pop("test", {})}]
    instrument = meter(memory=memory, **parts)
    (stored,) = observations(Client(instrument).ask("0701"))
    flags, low, high, source, offset = struct.unpack_from("<BIHBb", stored, 4 + 9)
    return flags, low | high << 32, source, offset


NOON = 826761600 + 12 * 3600  # 2026-03-14 12:00 since 2000
EDT = -4 * 3600


@pytest.mark.parametrize(
    ("dialect", "wanted"),
    [
        ({"stamp": "utc"}, (0x22, NOON, 4, 0)),
        ({"stamp": "utc_offset"}, (0x32, NOON, 4, -16)),
        ({"stamp": "local"}, (0x20, NOON + EDT, 4, 0)),
        ({"stamp": "local_offset", "source": 1}, (0x30, NOON + EDT, 1, -16)),
        ({"stamp": "utc", "resolution": "1ms"}, (0x2A, NOON * 1000, 4, 0)),
        ({"stamp": "utc", "old_timeline": 1}, (0x02, NOON, 4, 0)),
        ({"stamp": "ticks"}, (0x21, 86400, 4, 0)),
    ],
)
def test_stamps(dialect: dict[str, Any], wanted: tuple[int, int, int, int]) -> None:
    assert _stamp(dialect=dialect) == wanted


def test_a_stamp_may_be_told_in_octets() -> None:
    assert _stamp(test={"device_time": "ff" * 9}) == (0xFF, 2**48 - 1, 255, -1)


def test_a_clock_never_set_counts_from_2000_asks_to_be_set_and_leaves_old_tests_behind() -> None:
    instrument = meter(1, clock={"kind": "unset", "zone": "America/New_York"}, dialect={"stamp": "utc_offset"})
    client = Client(instrument)
    read = client.sensor.read(ELAPSED_TIME)
    assert len(read) == 11
    assert (read[0], read[7], read[9], read[10]) == (0x32, 7, 1, 3)
    (before,) = observations(client.ask("0701"))
    told = bytes([0x12]) + struct.pack("<Q", NOON)[:6] + b"\x01\xf0"
    client.sensor.write(ELAPSED_TIME, told)
    now = client.sensor.read(ELAPSED_TIME)
    assert int.from_bytes(now[1:7], "little") - NOON in (0, 1)
    assert (now[7], now[9]) == (1, 0)
    (after,) = observations(client.ask("0701"))
    assert before[13] == 0x32
    assert after[13] == 0x12
    assert after[14:] == before[14:]
    instrument.make(instrument.meter.memory[0].entry.model_copy(update={"at": instrument.present}))
    assert observations(client.ask("0706"))[0][13] == 0x32


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("12" + "00" * 7, AttErrorCode.INCORRECT_TIME_FORMAT),
        ("02" + "00" * 8, AttErrorCode.INCORRECT_TIME_FORMAT),
        ("12" + "00" * 6 + "04" + "00", AttErrorCode.TIME_SOURCE_QUALITY_TOO_LOW),
        ("12" + "ff" * 6 + "01" + "00", AttErrorCode.OUT_OF_RANGE),
    ],
)
def test_a_time_that_is_none_is_refused(told: str, code: AttErrorCode) -> None:
    client = Client(meter(dialect={"rejects_sources": [4]}))
    with pytest.raises(AttError) as refused:
        client.sensor.write(ELAPSED_TIME, bytes.fromhex(told))
    assert refused.value.code == code


def test_a_clock_that_cannot_be_set() -> None:
    with pytest.raises(AttError) as refused:
        Client(meter(dialect={"settable": False})).sensor.write(ELAPSED_TIME, b"\x12" + bytes(8))
    assert refused.value.code == AttErrorCode.WRITE_NOT_PERMITTED


def test_features_name_the_inr_and_its_specialization() -> None:
    told = Client(meter()).sensor.read(FEATURES)
    assert told[:6] == b"\x01\x05" + CODE
    assert told[-4:] == b"\x01\x12\x10\x02"


def test_a_scenario_file(tmp_path: Path) -> None:
    path = tmp_path / "meter.json"
    path.write_text(
        json.dumps(
            {"schema": "inr-gateway/ble-scenario/1", "security": {"passkey": 123456}, "dialect": {"form": "bundle"}}
        )
    )
    assert load(path).security.passkey == 123456
    path.write_text('{"security": {"input_output": "nothing"}}')
    with pytest.raises(ScenarioError, match="cannot authenticate"):
        load(path)


@pytest.mark.parametrize("text", ["drop:at=0", "slow:at=1", "lose:at=1,seconds=2", "melt:at=1", "drop:segment=1"])
def test_a_fault_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        Fault.parse(text)
