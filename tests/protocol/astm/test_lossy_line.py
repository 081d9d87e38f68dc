"""The guarantee under faults: what the meter takes for acknowledged is committed, and in the end all of it arrives.

A sender that keeps to E1381 (waits for every answer 15 s, repeats a refused frame six times, ends with EOT and
begins again) talks over a line that loses, doubles, alters and invents octets, with a hub that is slow, refuses or
dies. It never discards answers it did not expect, so an answer too many would be taken for that to its next frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Event, Piece, Send
from drivers.protocols.astm.link import AstmLink
from tests.protocol.astm.framer import ACK, ENQ, EOT, MESSAGE, NAK, bare, cut_frames, frames, one_frame

ANSWER_S, BUSY_S, RETRY_S, TRIES = 15.0, 10.0, 10.0, 6


@dataclass(frozen=True)
class LineFault:
    """Happens to one octet of one transmission of the meter, or of the hub."""

    transmission: int
    octet: int
    kind: Literal["drop", "double", "alter", "insert"]
    value: int

    def strike(self, octets: bytes) -> bytes:
        place = self.octet % len(octets)
        before, here, after = octets[:place], octets[place : place + 1], octets[place + 1 :]
        struck = {
            "drop": b"",
            "double": here * 2,
            "alter": bytes([here[0] ^ (self.value or 1)]),
            "insert": here + bytes([self.value]),
        }
        return before + struck[self.kind] + after


@dataclass
class Meter:
    """The sender; `acknowledged` is what it would never offer again."""

    messages: list[list[bytes]]
    resume: bool
    acknowledged: list[bytes] = field(default_factory=list)
    delivered: int = 0
    position: int = 0
    tries: int = 0
    state: Literal["idle", "enquiring", "sending"] = "idle"
    due_s: float = 0.0

    def on_time(self, now_s: float) -> bytes:
        """Its timer ended: begin, or give up and begin again later."""
        if self.state == "idle":
            if self.delivered == len(self.messages):
                self.due_s = float("inf")
                return b""
            self.state, self.due_s = "enquiring", now_s + ANSWER_S
            return ENQ
        return self.give_up(now_s, RETRY_S)

    def on_answer(self, octet: bytes, now_s: float) -> bytes:
        if self.state == "enquiring":
            if octet == ACK:
                self.state = "sending"
                return self.transmit(now_s)
            return self.give_up(now_s, BUSY_S) if octet == NAK else b""
        if self.state == "sending":
            if octet != ACK:  # the standard: anything else is a refusal
                return self.transmit(now_s) if self.tries < TRIES else self.give_up(now_s, RETRY_S)
            self.acknowledged.append(bare(self.messages[self.delivered][self.position]))
            self.position, self.tries = self.position + 1, 0
            if self.position < len(self.messages[self.delivered]):
                return self.transmit(now_s)
            self.delivered, self.position = self.delivered + 1, 0
            self.state, self.due_s = "idle", now_s + 0.001
            return EOT
        return b""

    def transmit(self, now_s: float) -> bytes:
        self.tries, self.due_s = self.tries + 1, now_s + ANSWER_S
        return self.messages[self.delivered][self.position]

    def give_up(self, now_s: float, pause_s: float) -> bytes:
        if not self.resume:
            self.position = 0
        self.tries, self.state, self.due_s = 0, "idle", now_s + pause_s
        return EOT


Commit = tuple[Literal["commit", "refuse", "die before", "die after"], float]


@dataclass
class Hub:
    """Commits pieces in its own good time; `committed` is on disk."""

    commits: list[Commit]
    committed: list[bytes] = field(default_factory=list)
    messages: list[list[bytes]] = field(default_factory=list)
    session: AstmLink = field(default_factory=AstmLink)

    def begin(self) -> None:
        self.session = AstmLink(unfinished=self.messages[-1] if self.messages else ())

    def commit(self, piece: Piece) -> None:
        self.committed.append(piece.octets)
        if piece.starts_message or not self.messages:
            self.messages.append([])
        self.messages[-1].append(piece.octets)


def converse(meter: Meter, hub: Hub, meter_faults: Sequence[LineFault], hub_faults: Sequence[LineFault]) -> None:
    """Play until the meter has nothing left to send; fails when it takes for acknowledged what is not committed."""
    now_s, sent, answered, waiting_octets = 0.0, 0, 0, b""

    def from_meter(octets: bytes) -> None:
        nonlocal sent, waiting_octets
        if not octets:
            return
        for fault in meter_faults:
            if fault.transmission == sent and octets:
                octets = fault.strike(octets)
        sent += 1
        waiting_octets += octets

    def from_hub(octets: bytes) -> None:
        nonlocal answered
        for fault in hub_faults:
            if fault.transmission == answered and octets:
                octets = fault.strike(octets)
        answered += 1
        for octet in octets:
            from_meter(meter.on_answer(bytes([octet]), now_s))
            assert meter.acknowledged == [] or meter.acknowledged[-1] in hub.committed, (
                "acknowledged and not committed"
            )

    def pass_time(seconds: float) -> None:
        nonlocal now_s
        end_s = now_s + seconds
        while meter.due_s <= end_s:
            now_s = max(now_s, meter.due_s)
            from_meter(meter.on_time(now_s))
        now_s = end_s

    def follow(events: Sequence[Event]) -> None:
        nonlocal waiting_octets
        todo = list(events)
        while todo:
            event = todo.pop(0)
            if isinstance(event, Send):
                from_hub(event.octets)
            elif isinstance(event, Piece):
                deed, seconds = hub.commits.pop(0) if hub.commits else ("commit", 0.0)
                pass_time(seconds)
                if deed in ("commit", "die after"):
                    hub.commit(event)
                if deed in ("die before", "die after"):
                    waiting_octets = b""
                    hub.begin()
                    return
                answer = hub.session.confirm if deed == "commit" else hub.session.refuse
                todo = answer(now_s) + todo

    for _ in range(20_000):
        if waiting_octets:
            octets, waiting_octets = waiting_octets, b""
            follow(hub.session.receive(octets, now_s))
            continue
        hub_due_s = hub.session.deadline_s
        if hub_due_s is not None and hub_due_s <= meter.due_s:
            now_s = max(now_s, hub_due_s)
            follow(hub.session.tick(now_s))
        elif meter.due_s == float("inf"):
            return
        else:
            now_s = max(now_s, meter.due_s)
            from_meter(meter.on_time(now_s))
    raise AssertionError("the meter never came to its end")


SECOND = (MESSAGE[0], MESSAGE[1], MESSAGE[2].replace(b"|17|", b"|18|"), *MESSAGE[3:])
MESSAGES = {
    "a record a frame": [frames(MESSAGE), frames(SECOND)],
    "one frame": [[one_frame(MESSAGE)], [one_frame(SECOND)]],
    "one frame, CR alone": [[one_frame(MESSAGE, trailer=b"\r")], [one_frame(SECOND, trailer=b"\r")]],
    "cut by ETB": [cut_frames(MESSAGE, 90), cut_frames(SECOND, 90)],
}
FAULT = st.builds(
    LineFault,
    st.integers(0, 25),
    st.integers(0, 400),
    st.sampled_from(["drop", "double", "alter", "insert"]),
    st.integers(0, 255) | st.sampled_from([2, 3, 4, 5, 6, 10, 13, 21, 23]),
)
# A transmission is struck once at most: two strikes may cancel each other in the checksum.
FAULTS = st.lists(FAULT, max_size=6, unique_by=lambda fault: fault.transmission)
# An acknowledgement that the line makes out of something else is beyond any receiver.
HUB_FAULTS = st.lists(
    st.builds(LineFault, st.integers(0, 25), st.just(0), st.sampled_from(["drop", "alter"]), st.just(0x80)),
    max_size=3,
)
COMMITS = st.lists(
    st.tuples(
        st.sampled_from(["commit", "commit", "commit", "refuse", "die before", "die after"]),
        st.sampled_from([0.0, 0.0, 0.001, 3.0, 11.9, 12.1, 14.9, 15.1, 26.0, 40.0]),
    ),
    max_size=12,
)


CASES = (st.sampled_from(sorted(MESSAGES)), st.booleans(), FAULTS, HUB_FAULTS, COMMITS)


def play(
    form: str, resume: bool, meter_faults: list[LineFault], hub_faults: list[LineFault], commits: list[Commit]
) -> None:
    messages = MESSAGES[form]
    meter, hub = Meter(messages, resume), Hub(list(commits))
    converse(meter, hub, meter_faults, hub_faults)
    assert meter.delivered == len(messages)
    whole = [b"".join(pieces) for pieces in hub.messages]
    for message in messages:
        assert b"".join(bare(one) for one in message) in whole, "every delivered message is whole in the journal"


@given(*CASES)
@settings(max_examples=500, deadline=None)
def test_what_the_meter_takes_for_acknowledged_is_committed_and_all_of_it_arrives(
    form: str, resume: bool, meter_faults: list[LineFault], hub_faults: list[LineFault], commits: list[Commit]
) -> None:
    play(form, resume, meter_faults, hub_faults, commits)


@pytest.mark.long
@pytest.mark.timeout(900)
@given(*CASES)
@settings(max_examples=50_000, deadline=None)
def test_it_holds_for_many_more_lines(
    form: str, resume: bool, meter_faults: list[LineFault], hub_faults: list[LineFault], commits: list[Commit]
) -> None:
    play(form, resume, meter_faults, hub_faults, commits)
