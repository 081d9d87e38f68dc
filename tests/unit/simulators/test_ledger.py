from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from simulators.astm.dialect import Dialect, Grouping
from simulators.astm.outbox import Outbox
from simulators.deliveries import Deliveries
from simulators.ledger import Ledger, LedgerError, read
from simulators.meter import Identity, Meter
from simulators.scenario import five_weeks

SCENARIO = five_weeks(date(2026, 3, 14))
assert SCENARIO.starts is not None
NOW = SCENARIO.starts


def meter(**changes: object) -> Meter:
    identity = Identity.model_validate({"serial": "SN000123", **changes})
    return Meter(identity, SCENARIO.clock, SCENARIO.memory)


def test_a_line_is_on_disk_when_write_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    path = tmp_path / "ledger.jsonl"
    really = os.fsync

    def fsync(file: int) -> None:
        really(file)
        synced.append(path.read_bytes())

    monkeypatch.setattr(os, "fsync", fsync)
    ledger = Ledger(path)
    ledger.write({"event": "holds", "entry": 1})
    assert synced[-1] == b'{"event":"holds","entry":1}\n'
    ledger.close()
    assert read(path) == [{"event": "holds", "entry": 1}]


def test_a_line_torn_by_a_power_cut_is_taken_away_and_writing_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"event":"holds","entry":1}\n{"event":"rec')
    ledger = Ledger(path)
    assert [line["entry"] for line in ledger.lines] == [1]
    ledger.write({"event": "holds", "entry": 2})
    ledger.close()
    assert [line["entry"] for line in read(path)] == [1, 2]


def test_two_simulators_may_not_share_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first = Ledger(path)
    with pytest.raises(LedgerError, match=r"ledger\.jsonl: another simulator"):
        Ledger(path)
    first.close()
    Ledger(path).close()


@pytest.mark.parametrize("content", [b"hello\n", b"[1]\n", b'{"no":"event"}\n'])
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="line 1 is no ledger line"):
        Ledger(path)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(tmp_path / "nowhere" / "ledger.jsonl")


def test_what_was_received_survives_in_the_ledger_and_is_not_offered_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    mine = meter()
    outbox = Outbox(mine, Dialect(), Deliveries(mine, ledger))
    outbox.begin_contact()
    for _ in range(3):
        message = outbox.next(NOW)
        assert message is not None
        outbox.received(message)
    ledger.close()

    ledger = Ledger(path)
    deliveries = Deliveries(mine, ledger)
    assert [test.ordinal for test in deliveries.delivered] == [0, 1, 2]
    assert [test.ordinal for test in deliveries.unsent] == [3, 4, 5, 6, 7]
    again = Outbox(mine, Dialect(), deliveries)
    again.begin_contact()
    message = again.next(NOW)
    assert message is not None
    assert [test.ordinal for test in message.tests] == [3]
    ledger.close()
    assert sum(line["event"] == "holds" for line in read(path)) == 8


def test_the_ledger_says_what_the_memory_holds(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    Deliveries(meter(), ledger)
    ledger.close()
    held = read(tmp_path / "ledger.jsonl")
    assert [(line["kind"], line["inr"], line["number"]) for line in held[3:6]] == [
        ("patient", ">8.0", "4"),
        ("patient", "3.6", "5"),
        ("error", None, "6"),
    ]
    assert held[3]["shown"] == "2026-02-24T07:26:05"
    assert held[3]["serial"] == "SN000123"


def test_a_meter_that_does_not_remember_offers_its_whole_memory_at_each_contact() -> None:
    mine = meter()
    deliveries = Deliveries(mine, Ledger())
    outbox = Outbox(mine, Dialect(sent_once=False, grouping=Grouping.MEMORY), deliveries)
    for _ in range(2):
        outbox.begin_contact()
        message = outbox.next(NOW)
        assert message is not None
        assert len(message.tests) == 8
        outbox.received(message)
        assert outbox.next(NOW) is None
        assert deliveries.unsent == ()


def test_the_ledger_of_another_meter_or_another_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    Deliveries(meter(), ledger, names_meter=True)
    for other in (
        meter(serial="SN000124"),
        Meter(Identity(), SCENARIO.clock, five_weeks(date(2026, 4, 14)).memory),
    ):
        with pytest.raises(LedgerError, match=r"ledger\.jsonl: test 0 is another one"):
            Deliveries(other, ledger, names_meter=True)
    longer = Meter(Identity(), SCENARIO.clock, (*SCENARIO.memory, SCENARIO.memory[0]))
    Deliveries(longer, ledger, names_meter=True)
    ledger.close()


def test_a_ledger_of_something_else_is_refused() -> None:
    ledger = Ledger()
    ledger.write({"event": "message"})
    with pytest.raises(LedgerError, match="no ledger of a meter"):
        Deliveries(meter(), ledger)
