"""A conversation with a scripted sensor: memory, resume, damage, refusals, live results, pairing, lost links."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from drivers.conformance import Host
from drivers.contract import Decoded, Finished, MeterRecord, Piece, Rejected
from drivers.errors import (
    DeviceError,
    DeviceReason,
    FramingError,
    PairingError,
    PairingReason,
    ProtocolError,
    TransportError,
    TransportReason,
)
from drivers.meters.ble_ghs import BleGhsDriver
from drivers.protocols.ghs.session import GhsSession
from tests.protocol.ghs import peer as p
from tests.protocol.ghs.peer import Line, Peer, talk

DRIVER = BleGhsDriver({})
KEY = "last_record SN123"
FROM_5 = "07030105000000"
NEWEST = "0706"
LOOK = NEWEST
"""The newest record, asked for once live observations have begun."""


def memory(*numbers: int) -> dict[int, bytes]:
    return {number: p.inr(20 + number, p.T0 + 86_400 * number) for number in numbers}


def decoded(host: Host) -> list[Decoded]:
    return [BleGhsDriver({}).decode(message) for message in host.messages]


def numbers(host: Host) -> list[str | None]:
    return [item.record_number for each in decoded(host) for item in each.items if isinstance(item, MeterRecord)]


def again(line: Line, peer: Peer) -> Line:
    """The same meter at the next contact."""
    memos = line.host.memos
    return Line(Host(DRIVER.session((), memos), memos=dict(memos)), peer).begin()


def damaged(number: int, reports: int, spoil: str) -> p.Spoil:
    """Spoils one record in the first reports."""

    def spoiled(report: int, values: list[bytes]) -> list[bytes]:
        if report > reports or int.from_bytes(values[0][1:5], "little") != number:
            return values
        return {
            "gap": [values[0], *values[2:]],
            "no first": values[1:],
            "no last": values[:-1],
            "gone": [],
            "swapped": [values[1], values[0], *values[2:]],
        }[spoil]

    return spoiled


def deaf(peer: Peer, said: bytes) -> Peer:
    """A sensor that answers what it is asked at its record access control point while it is live with just this."""
    answer = peer._answer

    def answered(kind: int, short: int, value: bytes) -> bytes:
        is_deaf = peer.is_live and (kind, short) == (p.WRITE, p.RACP)
        return said if is_deaf else answer(kind, short, value)

    peer._answer = answered  # type: ignore[method-assign]  # a sensor with one more whim
    return peer


class TestMemory:
    def test_a_full_memory_is_read_in_order(self) -> None:
        line = talk(DRIVER.session(), Peer(memory(1, 2, 3, 4, 5)))
        assert numbers(line.host) == ["1", "2", "3", "4", "5"]
        assert line.peer.racp_requests == ["0701", LOOK]
        first = decoded(line.host)[0]
        assert (first.meter.vendor, first.meter.serial, first.meter.model) == ("Acme", "SN123", "INR 1")
        assert first.clock is not None
        assert first.clock.time.local == datetime(2026, 3, 14, 7, 30, 5)
        line.wait(60)
        assert line.error is None
        assert line.peer.is_over

    def test_requests_come_in_order_and_one_at_a_time(self) -> None:
        line = talk(DRIVER.session(), Peer(memory(1)))
        read = [(p.READ, short) for short in (p.VENDOR, p.MODEL, p.SERIAL, p.FIRMWARE, p.FEATURES, p.ELAPSED)]
        subscribed = [(p.SUBSCRIBE, short) for short in (p.LIVE, p.STORED, p.RACP)]
        live = [(p.SUBSCRIBE, p.CONTROL), (p.WRITE, p.CONTROL)]
        assert [(kind, short) for kind, short, _ in line.peer.asked] == [
            *read,
            *subscribed,
            (p.WRITE, p.RACP),
            *live,
            (p.WRITE, p.RACP),
        ]

    def test_the_next_contact_goes_on_from_the_last_record(self) -> None:
        first = talk(DRIVER.session(), Peer(memory(1, 2, 3, 4, 5)))
        second = again(first, Peer(memory(1, 2, 3, 4, 5, 6, 7)))
        assert second.peer.racp_requests == [FROM_5, NEWEST, LOOK]
        assert numbers(second.host) == ["6", "7"]
        third = again(second, Peer(memory(1, 2, 3, 4, 5, 6, 7)))
        assert (third.peer.racp_requests, numbers(third.host)) == (["07030107000000", NEWEST, LOOK], [])

    def test_a_memo_comes_only_after_the_commit_of_what_it_is_about(self) -> None:
        host = Host(DRIVER.session(), withholds=2)
        Line(host, Peer(memory(1, 2, 3, 4))).begin()
        assert json.loads(host.memos[KEY])["record"] == 1  # 2 may be the first of a report that goes downwards

    def test_a_meter_that_numbers_anew_is_read_whole(self) -> None:
        first = talk(DRIVER.session(), Peer(memory(1, 2, 3, 4, 5)))
        fresh = {number: p.inr(30 + number, p.T0 + 864_000 + number) for number in range(1, 8)}
        second = again(first, Peer(fresh))
        assert second.peer.racp_requests == [FROM_5, "0701", LOOK]
        assert sorted(map(str, numbers(second.host))) == ["1", "2", "3", "4", "5", "6", "7"]
        third = again(second, Peer(fresh))
        assert numbers(third.host) == []

    def test_an_emptied_memory_is_read_from_its_first_record(self) -> None:
        first = talk(DRIVER.session(), Peer(memory(1, 2, 3, 4, 5)))
        second = again(first, Peer({1: p.inr(40, p.T0 + 999)}))
        assert second.peer.racp_requests == [FROM_5, "0701", LOOK]
        assert numbers(second.host) == ["1"]

    def test_a_meter_that_counts_in_a_circle_is_read_whole_every_time(self) -> None:
        def after(made: int) -> dict[int, bytes]:
            """The last three of so many tests, numbered from 1 to 3 and again from 1."""
            return {test % 3 + 1: p.inr(20 + test, p.T0 + 86_400 * test) for test in range(made - 3, made)}

        line = talk(DRIVER.session(), Peer(after(3)))
        found = set(line.host.commits)
        for made in (4, 5, 6, 7):
            line = again(line, Peer(after(made)))
            assert line.wait(60).error is None
            found |= set(line.host.commits)
        items = [item for each in found for item in DRIVER.decode([each]).items]
        assert len({item.inr for item in items if isinstance(item, MeterRecord)}) == 7

    def test_an_empty_memory(self) -> None:
        line = talk(DRIVER.session(), Peer())
        assert line.wait(60).error is None
        assert not line.host.commits

    def test_a_report_that_goes_downwards_leaves_no_hole(self) -> None:
        peer = Peer({number: memory(number)[number] for number in (3, 2, 1)})
        host = Host(DRIVER.session(), withholds=1)
        Line(host, peer).begin()
        assert KEY not in host.memos
        whole = talk(DRIVER.session(), peer)
        assert len(whole.host.commits) == 3
        assert KEY not in whole.host.memos  # so it is read whole again

    @pytest.mark.parametrize("memo", [b"", b"3", b"{}", b'{"record": -1, "fingerprint": ""}', b"\xff", b"[" * 9999])
    def test_a_memo_that_cannot_be_read_costs_a_repetition(self, memo: bytes) -> None:
        line = talk(DRIVER.session((), {KEY: memo}), Peer(memory(1, 2)))
        assert (line.peer.racp_requests, numbers(line.host)) == (["0701", LOOK], ["1", "2"])


class TestDamage:
    @pytest.mark.parametrize("spoil", ["gap", "no last", "swapped", "no first", "gone"])
    @pytest.mark.parametrize("number", [1, 3, 5])
    def test_what_was_damaged_is_read_again(self, spoil: str, number: int) -> None:
        line = talk(DRIVER.session(), Peer(memory(1, 2, 3, 4, 5), spoil=damaged(number, 1, spoil)))
        assert sorted(map(str, numbers(line.host))) == ["1", "2", "3", "4", "5"]
        assert len(line.peer.racp_requests) == 3
        assert line.peer.racp_requests[2] == LOOK
        if spoil == "gap":
            assert line.peer.racp_requests[1] == f"070401{number:02x}000000{number:02x}000000"
        assert ("Rejected" in [name for name, _ in line.host.log]) == (spoil != "gone")
        assert json.loads(line.host.memos[KEY])["record"] == 5
        assert line.wait(60).error is None

    def test_what_stays_damaged_is_told_and_asked_for_again(self) -> None:
        line = talk(DRIVER.session(), Peer(memory(1, 2, 3, 4, 5), spoil=damaged(3, 99, "gap")))
        assert sorted(map(str, numbers(line.host))) == ["1", "2", "4", "5"]
        error = line.wait(60).error
        assert isinstance(error, DeviceError)
        assert error.reason is DeviceReason.GAVE_UP
        assert json.loads(line.host.memos[KEY])["record"] < 3
        assert "3" in numbers(again(line, Peer(memory(1, 2, 3, 4, 5))).host)

    def test_a_count_that_is_wrong_every_time_is_passed_over(self) -> None:
        line = talk(DRIVER.session(), Peer(memory(1, 2), claims=1))
        assert line.peer.racp_requests == ["0701", "0701", LOOK]
        assert numbers(line.host) == ["1", "2"]
        assert line.wait(60).error is None

    def test_a_record_that_cannot_be_understood_is_kept_and_stalls_nothing(self) -> None:
        records = {**memory(1), 2: b"\x01\xff\xff\x00\x00\x00", **memory(3)}
        line = talk(DRIVER.session(), Peer(records))
        assert len(line.host.commits) == 3
        assert [type(item).__name__ for each in decoded(line.host) for item in each.items] == [
            "MeterRecord",
            "Unreadable",
            "MeterRecord",
        ]
        assert json.loads(line.host.memos[KEY])["record"] == 3


class TestRefusals:
    def test_busy_is_asked_again(self) -> None:
        line = talk(DRIVER.session(), Peer(memory(1), racp=[b"\x06\x00\x07\x0a"] * 2))
        assert numbers(line.host) == []
        assert numbers(line.wait(10).host) == ["1"]
        assert line.peer.racp_requests == [*["0701"] * 3, LOOK]

    def test_busy_for_long_is_told(self) -> None:
        line = talk(DRIVER.session(), Peer(memory(1), racp=[b"\x06\x00\x07\x0a"] * 9)).wait(60)
        assert isinstance(line.error, DeviceError)
        assert "busy" in str(line.error)

    def test_a_report_that_is_not_completed_is_asked_again(self) -> None:
        peer = Peer(memory(1, 2))
        peer.racp = [b"\x06\x00\x07\x08"]
        assert numbers(talk(DRIVER.session(), peer).wait(10).host) == ["1", "2"]

    def test_without_combined_reports(self) -> None:
        line = talk(DRIVER.session(), Peer(memory(1, 2), opcodes=(1, 3)))
        assert line.peer.racp_requests == ["0701", "0101", "0106"]
        assert numbers(line.host) == ["1", "2"]
        assert json.loads(line.host.memos[KEY])["record"] == 2

    def test_without_operators(self) -> None:
        first = talk(DRIVER.session(), Peer(memory(1, 2)))
        second = again(first, Peer(memory(1, 2, 3), operators=(1,)))
        assert second.peer.racp_requests == ["07030102000000", "0701", NEWEST, LOOK]
        assert numbers(second.host) == ["1", "3"]
        assert json.loads(second.host.memos[KEY])["record"] == 3

    @pytest.mark.parametrize("code", [3, 4, 5, 7, 9, 77])
    def test_other_answers_are_told(self, code: int) -> None:
        line = talk(DRIVER.session(), Peer(memory(1), racp=[bytes([6, 0, 7, code])] * 3)).wait(60)
        assert isinstance(line.error, DeviceError)
        assert line.error.reason is DeviceReason.REFUSED

    def test_strays_are_passed_over(self) -> None:
        peer = Peer({})
        peer.racp = [b"\x06\x00\x07\x06"]
        line = talk(DRIVER.session(), peer).says(p.notified(p.RACP, b"\x06\x00\x05\x00"))
        assert line.wait(60).error is None

    def test_silence_is_aborted_and_asked_again(self) -> None:
        line = talk(DRIVER.session(), Peer(memory(1, 2), racp=[None])).wait(31)
        assert line.peer.racp_requests == ["0701", "0300", "0701", LOOK]
        assert numbers(line.host) == ["1", "2"]

    def test_silence_for_good_ends_the_conversation(self) -> None:
        line = talk(DRIVER.session(), Peer(memory(1, 2), racp=[None] * 9)).wait(200)
        assert isinstance(line.error, TransportError)
        assert line.error.reason is TransportReason.TIMED_OUT

    def test_a_procedure_in_progress_is_aborted(self) -> None:
        peer = Peer(memory(1))
        peer.refuses[p.WRITE, p.RACP] = 0xFE
        line = talk(DRIVER.session(), peer)
        assert line.peer.racp_requests[:2] == ["0701", "0300"]
        line.wait(60)
        assert isinstance(line.error, DeviceError)

    def test_a_forgotten_subscription_is_made_again(self) -> None:
        peer = Peer(memory(1))
        peer.refuses[p.WRITE, p.RACP] = 0xFD
        line = talk(DRIVER.session(), peer)
        subscriptions = [each for each in peer.asked if each[:2] == (p.SUBSCRIBE, p.RACP)]
        assert len(subscriptions) == 2
        line.wait(60)
        assert "0xFD" in str(line.error)

    @pytest.mark.parametrize(
        ("code", "bonded", "reason"),
        [
            (0x05, False, PairingReason.REJECTED),
            (0x0F, False, PairingReason.REJECTED),
            (0x05, True, PairingReason.DOWNGRADED),
            (0x0F, True, PairingReason.BOND_LOST),
        ],
    )
    @pytest.mark.parametrize(
        "where", [(p.READ, p.SERIAL), (p.READ, p.ELAPSED), (p.SUBSCRIBE, p.STORED), (p.WRITE, p.RACP)]
    )
    def test_a_meter_that_wants_to_be_paired(
        self, where: tuple[int, int], code: int, bonded: bool, reason: PairingReason
    ) -> None:
        line = talk(DRIVER.session(), Peer(memory(1), bonded=bonded, refuses={where: code}))
        assert isinstance(line.error, PairingError)
        assert line.error.reason is reason
        assert "inr-gateway" in str(line.error)
        assert line.peer.is_over

    def test_another_kind_of_meter(self) -> None:
        peer = Peer(memory(1))
        peer.values[p.FEATURES] = b"\x00\x01" + struct.pack("<I", 150456)
        assert isinstance(talk(DRIVER.session(), peer).error, ProtocolError)
        any_meter = BleGhsDriver({"conversation": {"any_meter": True}})
        assert talk(any_meter.session(), peer).host.commits

    def test_no_sensor_at_all(self) -> None:
        line = talk(DRIVER.session(), Peer(without=(p.LIVE, p.STORED, p.RACP, p.FEATURES, p.ELAPSED)))
        assert isinstance(line.error, ProtocolError)

    def test_an_answer_that_never_comes(self) -> None:
        session = DRIVER.session()
        line = Line(Host(session), Peer())
        line.host.opened()
        line.host.receive(p.link())
        line.host.wait(40)
        assert isinstance(line.error, TransportError)

    @pytest.mark.parametrize(
        "octets", [p.frame(0x82, p.SERIAL), p.link() + p.link(), b"\x00\x00", p.frame(1, p.LIVE)]
    )
    def test_what_answers_nothing(self, octets: bytes) -> None:
        host = Host(DRIVER.session())
        host.opened()
        host.receive(octets)
        assert host.finished[0].close
        assert isinstance(host.finished[0].error, ProtocolError | FramingError)


class TestLive:
    def test_live_results_come_and_the_meter_may_leave(self) -> None:
        line = talk(DRIVER.session(), Peer(live=[p.inr(25), p.inr(26, p.T0 + 9)]))
        assert numbers(line.host) == [None, None]
        assert not line.host.is_closed
        line.host.lost()
        assert line.error is None

    def test_a_live_result_lost_before_the_journal_is_found_in_the_memory(self) -> None:
        host = Host(DRIVER.session(), withholds=1)
        line = Line(host, Peer(memory(1), live=[p.inr(25)])).begin()
        assert host.is_withheld  # the radio has confirmed it, and the hub dies
        later = again(line, Peer({**memory(1), 2: p.inr(25)}))
        assert numbers(later.host)[-1] == "2"

    def test_a_live_result_before_anything_was_asked_is_kept(self) -> None:
        host = Host(DRIVER.session())
        line = Line(host, Peer())
        host.opened()
        line.says(p.link() + p.notified(p.LIVE, *p.segments(p.inr(25))))
        (result,) = decoded(host)
        assert result.meter.serial == "SN123"
        assert result.clock is not None

    def test_results_that_came_too_early_are_shown_when_the_link_is_lost(self) -> None:
        host = Host(DRIVER.session())
        host.opened()
        host.receive(p.link() + p.notified(p.LIVE, *p.segments(p.inr(25))))
        host.lost()
        assert "Rejected" in [name for name, _ in host.log]

    @pytest.mark.parametrize("lost", [0, 1, 2])
    def test_a_damaged_live_result_is_read_from_the_memory(self, lost: int) -> None:
        peer = Peer(memory(1))
        line = talk(DRIVER.session(), peer)
        peer.memory[2] = p.inr(30, p.T0 + 5)
        values = p.segments(peer.memory[2], 10)
        del values[lost]
        line.says(p.notified(p.LIVE, *values)).wait(31)
        control = [value for kind, short, value in peer.asked if (kind, short) == (p.WRITE, p.CONTROL)]
        assert control == [b"\x01", b"\x02", b"\x01"]
        assert peer.racp_requests[1:] == [LOOK, "07030101000000", NEWEST, LOOK]
        assert numbers(line.host) == ["1", "2"]

    def test_a_busy_control_point_is_asked_again(self) -> None:
        peer = Peer(memory(1))
        line = Line(Host(DRIVER.session()), peer)
        answer = peer._answer

        def busy(kind: int, short: int, value: bytes) -> bytes:
            said = answer(kind, short, value)
            return said.replace(p.notified(p.CONTROL, b"\x80"), p.notified(p.CONTROL, b"\x81"))

        peer._answer = busy  # type: ignore[method-assign]  # a sensor that is busy for ever
        line.begin().wait(20)
        control = [value for kind, short, value in peer.asked if (kind, short) == (p.WRITE, p.CONTROL)]
        assert control == [b"\x01"] * 3
        assert isinstance(line.wait(60).error, DeviceError)

    @pytest.mark.parametrize("refuses", [{(p.WRITE, p.CONTROL): 0x81}, {(p.SUBSCRIBE, p.CONTROL): 0x0A}])
    def test_a_meter_that_sends_without_being_told_to(self, refuses: dict[tuple[int, int], int]) -> None:
        line = talk(DRIVER.session(), Peer(memory(1), refuses=refuses))
        line.says(p.notified(p.LIVE, *p.segments(p.inr(25))))
        assert numbers(line.host) == ["1", None]
        assert line.wait(60).error is None

    def test_quiet_is_counted_from_the_last_result(self) -> None:
        line = talk(DRIVER.session(), Peer())
        line.wait(25).says(p.notified(p.LIVE, *p.segments(p.inr(25))))
        assert not line.wait(25).host.is_closed
        assert line.wait(10).error is None

    def test_the_profile_may_keep_the_connection_or_take_no_live_results(self) -> None:
        for_ever = BleGhsDriver({"conversation": {"close_when_quiet_s": 0}})
        assert not talk(for_ever.session(), Peer()).wait(99_999).host.is_closed
        stored_only = BleGhsDriver({"conversation": {"live": False}})
        line = talk(stored_only.session(), Peer(memory(1))).wait(1)
        assert line.error is None
        assert p.LIVE not in [short for _, short, _ in line.peer.asked]


class TestMadeBeforeLiveBegins:
    """What was made after the report and before live observations is asked for once; a refusal costs nothing."""

    @pytest.mark.parametrize("made", [(4,), (4, 5, 6)])
    def test_it_is_read_at_once(self, made: tuple[int, ...]) -> None:
        line = talk(DRIVER.session(), Peer(memory(1, 2, 3), meanwhile=memory(*made)))
        assert line.peer.racp_requests == ["0701", LOOK, "07030103000000", NEWEST]
        assert sorted(map(str, numbers(line.host))) == [str(number) for number in (1, 2, 3, *made)]
        assert json.loads(line.host.memos[KEY])["record"] == made[-1]
        assert line.wait(60).error is None

    def test_into_an_empty_memory(self) -> None:
        line = talk(DRIVER.session(), Peer(meanwhile=memory(1, 2)))
        assert line.peer.racp_requests == ["0701", LOOK, "0701"]
        assert sorted(map(str, numbers(line.host))) == ["1", "2"]
        assert line.wait(60).error is None

    def test_where_the_numbers_begin_again(self) -> None:
        wrapped = {1: p.inr(41, p.T0 + 999_991), 2: p.inr(42, p.T0 + 999_992)}
        line = talk(DRIVER.session(), Peer(memory(6, 7), meanwhile=wrapped))
        assert line.peer.racp_requests == ["0701", LOOK, "0701"]
        assert sorted(map(str, numbers(line.host))) == ["1", "2", "6", "7"]
        assert line.wait(60).error is None

    @pytest.mark.parametrize("order", [(3, 2, 1), (2, 3, 1), (8, 9, 1)])
    def test_numbers_out_of_order_alone_are_no_reason_to_read_again(self, order: tuple[int, ...]) -> None:
        line = talk(DRIVER.session(), Peer({number: memory(number)[number] for number in order}))
        for _ in range(3):
            assert line.peer.racp_requests == ["0701", LOOK]
            assert len(numbers(line.host)) == 3
            assert line.wait(60).error is None
            line = again(line, Peer(line.peer.memory))

    @pytest.mark.parametrize("spoil", ["gap", "no last", "swapped", "no first", "gone"])
    def test_a_newest_record_that_arrives_damaged(self, spoil: str) -> None:
        peer = Peer(memory(1, 2), meanwhile=memory(3, 4), spoil=damaged(4, 2, spoil))
        line = talk(DRIVER.session(), peer)
        assert numbers(line.host) == ["1", "2", "3", "4"]
        assert line.wait(60).error is None
        assert json.loads(line.host.memos[KEY])["record"] == 4

    @pytest.mark.parametrize("spoil", ["gap", "no last", "swapped", "no first", "gone"])
    def test_a_known_record_that_arrives_damaged(self, spoil: str) -> None:
        peer = Peer(memory(1, 2))
        peer.spoil = lambda report, values: damaged(2, 2, spoil)(report, values) if report == 2 else values
        line = talk(DRIVER.session(), peer)
        assert numbers(line.host) == ["1", "2"]
        assert line.peer.racp_requests == ["0701", LOOK, "07030102000000", NEWEST]
        assert line.wait(60).error is None

    def test_damage_before_a_known_record_does_not_have_everything_read_again(self) -> None:
        first = talk(DRIVER.session(), Peer(memory(1, 2)))

        def begun_twice(report: int, values: list[bytes]) -> list[bytes]:
            begun = bytes([values[0][0] ^ 0x80]) + values[0][1:]
            return [begun, *values] if report == 3 else values

        second = again(first, Peer(memory(1, 2), spoil=begun_twice))
        assert second.peer.racp_requests == ["07030102000000", NEWEST, LOOK, "07030102000000", NEWEST]
        assert numbers(second.host) == []
        assert second.wait(60).error is None

    def test_a_newest_record_that_is_said_twice(self) -> None:
        peer = Peer(memory(1, 2), meanwhile=memory(3))

        def twice(report: int, values: list[bytes]) -> list[bytes]:
            other = [bytes([each[0] + (len(values) << 2) & 0xFF]) + each[1:] for each in values]
            return [*values, *other] if report == 2 else values

        peer.spoil = twice
        line = talk(DRIVER.session(), peer)
        assert numbers(line.host) == ["1", "2", "3"]
        assert json.loads(line.host.memos[KEY])["record"] == 3

    @pytest.mark.parametrize(
        "answer", [0xFE, 0x80, 0x05, 0x0F, 0xFD, 0, *(bytes([6, 0, 7, code]) for code in range(2, 11))]
    )
    def test_a_sensor_that_refuses_while_it_is_live(self, answer: int | bytes) -> None:
        line = talk(DRIVER.session(), Peer(memory(1, 2), live=[p.inr(50)], live_racp=[answer]))
        assert line.peer.racp_requests == ["0701", LOOK]
        assert numbers(line.host) == ["1", "2", None]
        assert not line.wait(25).host.is_closed
        line.says(p.notified(p.LIVE, *p.segments(p.inr(51), counter=9)))
        assert numbers(line.host)[3:] == [None]
        assert not line.wait(29).host.is_closed
        assert line.wait(2).error is None
        assert line.peer.racp_requests == ["0701", LOOK]

    @pytest.mark.parametrize("said", [None, b"", b"\x05\x00\x01\x00", b"\x06\x00\x01\x01", b"\xff" * 9])
    def test_a_sensor_that_says_nothing_of_use_while_it_is_live(self, said: bytes | None) -> None:
        line = talk(DRIVER.session(), Peer(memory(1, 2), live_racp=[said]))
        assert not line.wait(59).host.is_closed  # the usual time for an answer, and the usual quiet
        assert line.wait(2).error is None
        assert (line.peer.racp_requests, numbers(line.host)) == (["0701", LOOK], ["1", "2"])

    def test_live_results_come_while_it_is_silent(self) -> None:
        line = talk(DRIVER.session(), Peer(memory(1), live_racp=[None]))
        line.wait(5).says(p.notified(p.LIVE, *p.segments(p.inr(25))))
        assert numbers(line.host) == ["1", None]
        assert line.wait(70).error is None

    @pytest.mark.parametrize("is_written", [False, True])
    def test_a_meter_that_leaves_instead_of_an_answer(self, is_written: bool) -> None:
        line = Line(Host(DRIVER.session()), deaf(Peer(memory(1, 2)), p.frame(0x83, p.RACP) * is_written)).begin()
        assert not line.host.is_closed
        line.host.lost()
        assert line.error is None

    def test_a_meter_that_leaves_in_the_newest_record(self) -> None:
        part = p.frame(0x83, p.RACP) + p.notified(p.STORED, p.stored(3, p.inr(30))[0])
        line = Line(Host(DRIVER.session()), deaf(Peer(memory(1, 2)), part)).begin()
        line.host.lost()
        assert isinstance(line.error, TransportError)
        assert json.loads(line.host.memos[KEY])["record"] == 2

    def test_a_write_that_is_never_answered(self) -> None:
        line = Line(Host(DRIVER.session()), deaf(Peer(memory(1, 2)), b"")).begin()
        assert not line.wait(29).host.is_closed
        assert line.wait(2).error is None
        assert line.peer.is_over

    @pytest.mark.parametrize(
        ("profile", "without", "refuses"),
        [
            ({"conversation": {"live": False}}, (), {}),
            ({}, (p.LIVE,), {}),
            ({}, (p.CONTROL,), {}),
            ({}, (), {(p.WRITE, p.CONTROL): 0x81}),
        ],
    )
    def test_where_nothing_was_started_nothing_is_asked(
        self, profile: dict[str, object], without: tuple[int, ...], refuses: dict[tuple[int, int], int]
    ) -> None:
        line = talk(BleGhsDriver(profile).session(), Peer(memory(1), without=without, refuses=refuses)).wait(60)
        assert (line.error, line.peer.racp_requests) == (None, ["0701"])

    def test_after_a_memory_that_was_not_read_whole_nothing_is_asked(self) -> None:
        line = talk(DRIVER.session(), Peer(memory(1), racp=[bytes([6, 0, 7, 5])] * 2)).wait(60)
        assert isinstance(line.error, DeviceError)
        assert LOOK not in line.peer.racp_requests


class TestClock:
    PROFILE: ClassVar[dict[str, object]] = {"zone": "Europe/Berlin", "clock": {"set": "when_asked"}}

    def clocked(self, profile: Mapping[str, object], shown: bytes) -> Line:
        driver = BleGhsDriver(profile)
        settings = driver._profile.settings(
            lambda zone: datetime(2026, 3, 14, 7, 30, 5, tzinfo=UTC).astimezone(zone)
        )
        peer = Peer(memory(1))
        peer.values[p.ELAPSED] = shown
        return talk(GhsSession(settings, {}), peer)

    def written(self, line: Line) -> list[bytes]:
        return [value for kind, short, value in line.peer.asked if (kind, short) == (p.WRITE, p.ELAPSED)]

    def test_it_is_left_alone_unless_the_profile_says_otherwise(self) -> None:
        assert self.written(self.clocked({}, p.stamp(0) + b"\x01\x00")) == []
        assert self.written(self.clocked(self.PROFILE, p.stamp(p.T0 - 9999) + b"\x00\x00")) == []

    def test_it_is_set_after_the_memory_was_read_and_looked_at_again(self) -> None:
        line = self.clocked(self.PROFILE, p.stamp(17, flags=0x32) + b"\x01\x03")
        assert self.written(line) == [p.stamp(p.T0, 0x32, 1, 4)]
        order = [(kind, short) for kind, short, _ in line.peer.asked]
        assert order.index((p.WRITE, p.RACP)) < order.index((p.WRITE, p.ELAPSED))
        line.says(p.notified(p.LIVE, *p.segments(p.inr(25))))
        before, after = decoded(line.host)
        assert before.clock is not None
        assert before.clock.time.local == datetime(2000, 1, 1, 0, 0, 17)
        assert after.clock is not None
        assert after.clock.time.local == datetime(2026, 3, 14, 8, 30, 5)

    @pytest.mark.parametrize(("error_s", "times"), [(30, 0), (61, 1), (-61, 1)])
    def test_small_errors_are_left_alone(self, error_s: int, times: int) -> None:
        always = {"zone": "Europe/Berlin", "clock": {"set": "always"}}
        assert len(self.written(self.clocked(always, p.stamp(p.T0 + error_s) + b"\x00\x00"))) == times

    def test_ticks_cannot_be_set(self) -> None:
        assert self.written(self.clocked(self.PROFILE, p.stamp(flags=0x21) + b"\x01\x00")) == []

    def test_a_refusal_is_told(self) -> None:
        driver = BleGhsDriver({"zone": "UTC", "clock": {"set": "when_asked"}})
        peer = Peer(memory(1), refuses={(p.WRITE, p.ELAPSED): 0x80})
        peer.values[p.ELAPSED] = p.stamp(0) + b"\x01\x00"
        line = talk(driver.session(), peer).wait(60)
        assert "time source" in str(line.error)
        assert numbers(line.host) == ["1"]


class TestDeleting:
    def test_only_on_an_order_and_only_what_was_stored(self) -> None:
        session = DRIVER.session()
        line = talk(session, Peer(memory(1, 2, 3)))
        assert not any(request.startswith("02") for request in line.peer.racp_requests)
        with pytest.raises(DeviceError):
            session.delete_stored(4, line.host.now_s)
        line.host._follow(session.delete_stored(2, line.host.now_s))
        line.says(line.heard())
        assert line.peer.racp_requests[-2:] == ["02020102000000", LOOK]
        assert list(line.peer.memory) == [3]
        assert line.wait(60).error is None
        assert numbers(again(line, line.peer).host) == []

    def test_before_anything_was_read_nothing_can_be_deleted(self) -> None:
        with pytest.raises(DeviceError):
            DRIVER.session().delete_stored(1, 0.0)


class TestLostLinks:
    def test_at_every_frame_nothing_is_lost_and_little_is_repeated(self) -> None:
        records = memory(1, 2, 3, 4)
        whole = talk(DRIVER.session(), Peer(records, live=[p.inr(50, p.T0 + 99)]))
        frames = sum(1 for name, _ in whole.host.log if name in ("Send", "Context", "Piece"))
        for cut in range(1, frames + 60):
            line = Line(Host(DRIVER.session()), Peer(records))
            left = cut
            line.host.opened()
            pending = line.peer.connected()
            while pending and left > 0:
                length = 2 + int.from_bytes(pending[:2], "little")
                line.host.receive(pending[:length])
                pending = pending[length:] + line.heard()
                left -= 1
            line.host.lost()
            following = again(line, Peer(records))
            found = [*numbers(line.host), *numbers(following.host)]
            assert set(found) == {"1", "2", "3", "4"}
            assert len(found) <= 5
            assert following.wait(60).error is None

    def test_a_loss_in_the_middle_is_no_orderly_end(self) -> None:
        host = Host(DRIVER.session())
        host.opened()
        host.receive(p.link() + b"\x20")
        events = host.session.lost(host.now_s)
        assert isinstance(events[-1], Finished)
        assert isinstance(events[-1].error, TransportError)
        assert isinstance(events[0], Rejected)

    def test_what_cannot_be_committed_is_read_again(self) -> None:
        host = Host(DRIVER.session(), refuses={1})
        line = Line(host, Peer(memory(1, 2, 3))).begin()
        assert isinstance(line.error, DeviceError)
        assert set(numbers(again(line, Peer(memory(1, 2, 3))).host)) >= {"2", "3"}

    def test_octets_in_any_chunking(self) -> None:
        def chunked(size: int) -> list[tuple[str, bytes]]:
            peer = Peer(memory(1, 2), live=[p.inr(25)])
            line = Line(Host(DRIVER.session()), peer)
            line.host.opened()
            pending = peer.connected()
            while pending:
                for start in range(0, len(pending), size):
                    line.host.receive(pending[start : start + size])
                pending = line.heard()
            return line.host.log

        assert chunked(1) == chunked(7) == chunked(99_999)
        assert any(name.startswith(Piece.__name__) for name, _ in chunked(1))
