"""The MLLP sender against real sockets that misbehave as receivers in the field do, and against hl7apy's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.mllp import AbstractErrorHandler, AbstractHandler, MLLPServer
from hl7apy.parser import parse_message

from gateway.reporting.channels import channel
from gateway.reporting.channels.base import Answer, Level, Outcome
from gateway.reporting.channels.mllp import MllpSender
from gateway.reporting.channels.mllp_reach import parse_address
from gateway.reporting.configuration import Delivery
from tests.unit.reporting import receivers
from tests.unit.reporting.examples import PATIENT, reportable
from tests.unit.reporting.receivers import acknowledgement, answers, receiver
from tests.unit.reporting.stores import body, quantity

PATIENCE = Delivery(connect_timeout_s=5, answer_timeout_s=5)
IMPATIENCE = Delivery(connect_timeout_s=0.3, answer_timeout_s=0.3)


def message(number: int = 1, **changes: Any) -> tuple[bytes, str]:
    report = reportable(control_id=f"CONTROL{number}", **changes)
    way = channel("hl7v2")
    return way.render(report, way.settings()), report.control_id


async def deliver(sender: MllpSender, number: int = 1, **changes: Any) -> Answer:
    unable = await sender.open()
    return unable or await sender.send(*message(number, **changes))


async def deliver_once(address: str, settings: Delivery = PATIENCE, **changes: Any) -> Answer:
    sender = MllpSender(address, settings)
    try:
        return await deliver(sender, **changes)
    finally:
        await sender.close()


@pytest.fixture
async def opened() -> AsyncIterator[list[MllpSender]]:
    senders: list[MllpSender] = []
    yield senders
    for sender in senders:
        await sender.close()


# ---------------------------------------------------------------- what counts


async def test_one_connection_serves_many_messages(opened: list[MllpSender]) -> None:
    with receiver(receivers.accepts) as far_end:
        sender = MllpSender(far_end.address, PATIENCE)
        opened.append(sender)
        outcomes = [await deliver(sender, number) for number in range(50)]
        assert {answer.outcome for answer in outcomes} == {Outcome.DELIVERED}
        assert {answer.level for answer in outcomes} == {Level.DELIVERED}
        assert far_end.connections == 1
        assert far_end.control_ids == [f"CONTROL{number}" for number in range(50)]
        assert far_end.messages[3] == message(3)[0]
        assert outcomes[3].evidence == acknowledgement("CONTROL3")[1:-2]
        assert outcomes[3].peer == f"127.0.0.1:{far_end.port} (EHR|CLINIC)"


@pytest.mark.parametrize(
    ("codes", "more", "outcome"),
    [
        (["AA"], (), Outcome.DELIVERED),
        (["AE"], ("ERR|||207^Application error^HL70357|E",), Outcome.POSTPONED),
        (["AE"], (), Outcome.POSTPONED),
        (["AE"], ("ERR|||204^Unknown key identifier^HL70357|E",), Outcome.REFUSED),
        (["AR"], (), Outcome.REFUSED),
    ],
)
async def test_every_answer_has_its_outcome(codes: list[str], more: tuple[str, ...], outcome: Outcome) -> None:
    with receiver(receivers.says(*codes, more=more)) as far_end:
        answer = await deliver_once(far_end.address)
    assert answer.outcome is outcome
    assert codes[0].encode() in answer.evidence


async def test_an_answer_in_single_octets_counts() -> None:
    with receiver(receivers.in_pieces) as far_end:
        assert (await deliver_once(far_end.address)).outcome is Outcome.DELIVERED


async def test_octets_between_frames_do_not_matter(opened: list[MllpSender]) -> None:
    with receiver(answers(lambda name: b"\r\n" + acknowledgement(name) + b"\r\n")) as far_end:
        sender = MllpSender(far_end.address, PATIENCE)
        opened.append(sender)
        for number in range(3):
            assert (await deliver(sender, number)).outcome is Outcome.DELIVERED
        assert far_end.connections == 1


async def test_an_engines_word_is_not_the_applications() -> None:
    def both(name: str) -> bytes:
        return acknowledgement(name, "CA") + acknowledgement(name, "AA")

    with receiver(answers(both)) as far_end:
        assert (await deliver_once(far_end.address)).outcome is Outcome.DELIVERED
    with receiver(answers(lambda name: acknowledgement(name, "CA"))) as far_end:
        answer = await deliver_once(far_end.address, IMPATIENCE)
    assert (answer.outcome, answer.level) == (Outcome.AMBIGUOUS, Level.ACCEPTED)
    assert b"MSA|CA" in answer.evidence


# ---------------------------------------------------------------- what never counts


NO_ANSWERS = {
    "silence": receivers.keeps_silent,
    "closed without an answer": receivers.closes_without_answer,
    "half a frame": answers(lambda name: acknowledgement(name)[:-6]),
    "half a frame, then closed": answers(lambda name: acknowledgement(name)[:-6], then_close=True),
    "no end of block": answers(lambda name: acknowledgement(name)[:-2]),
    "no start of block": answers(lambda name: acknowledgement(name)[1:]),
    "another message's": answers(lambda _name: acknowledgement("CONTROL0")),
    "a longer name": answers(lambda name: acknowledgement(name + "0")),
    "no name": answers(lambda _name: acknowledgement("")),
    "no code": answers(lambda name: acknowledgement(name, "")),
    "an unknown code": answers(lambda name: acknowledgement(name, "OK")),
    "no MSA": answers(lambda _name: b"\x0bMSH|^~\\&|EHR\r\x1c\x0d"),
    "an empty frame": answers(lambda _name: b"\x0b\x1c\x0d"),
    "HTTP": answers(lambda _name: b"HTTP/1.1 400 Bad Request\r\n\r\n", then_close=True),
    "noise": answers(lambda _name: bytes(range(256))),
    "endless": answers(lambda _name: b"\x0b" + b"A" * 200_000),
}


@pytest.mark.parametrize("habit", NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_whatever_is_no_answer_leaves_it_open(habit: receivers.Habit) -> None:
    with receiver(habit) as far_end:
        sender = MllpSender(far_end.address, IMPATIENCE)
        answer = await deliver(sender)
        assert (answer.outcome, answer.level) == (Outcome.AMBIGUOUS, Level.SENT)
        assert answer.text
        assert not sender.ready  # a connection that answered so is never used again
        assert len(answer.evidence) <= IMPATIENCE.answer_most_octets
        await sender.close()


async def test_a_stale_answer_is_never_credited(opened: list[MllpSender]) -> None:
    """As one npm server does: on a connection used again it first repeats the earlier answer."""
    with receiver(receivers.repeats_the_first_answer) as far_end:
        sender = MllpSender(far_end.address, PATIENCE)
        opened.append(sender)
        first, second, again, third = [await deliver(sender, number) for number in (1, 2, 2, 3)]
        assert first.outcome is Outcome.DELIVERED
        assert second.outcome is Outcome.AMBIGUOUS
        assert "another message" in second.text
        assert again.outcome is Outcome.DELIVERED  # on a new connection
        assert third.outcome is Outcome.DELIVERED  # it has learnt to use one connection for one message
        assert far_end.connections == 3


async def test_an_answer_that_comes_after_its_time_is_not_the_next_ones(opened: list[MllpSender]) -> None:
    late = threading.Event()

    def habit(visit: receivers.Visit, octets: bytes) -> bool:
        if receivers.field(octets, "MSH", 10) == "CONTROL1":
            late.wait(10)
        return receivers.accepts(visit, octets)

    with receiver(habit) as far_end:
        sender = MllpSender(far_end.address, Delivery(answer_timeout_s=0.3))
        opened.append(sender)
        assert (await deliver(sender, 1)).outcome is Outcome.AMBIGUOUS
        late.set()
        assert (await deliver(sender, 2)).outcome is Outcome.DELIVERED
        assert far_end.connections == 2


async def test_unasked_octets_cost_the_connection_but_no_message(opened: list[MllpSender]) -> None:
    """A second copy of an acknowledgement that comes while nothing is in flight."""
    with receiver(answers(lambda name: acknowledgement(name) * 2)) as far_end:
        sender = MllpSender(far_end.address, PATIENCE)
        opened.append(sender)
        for number in range(5):
            assert (await deliver(sender, number)).outcome is Outcome.DELIVERED
        assert far_end.connections == 5
        assert far_end.control_ids == [f"CONTROL{number}" for number in range(5)]


# ---------------------------------------------------------------- connections


async def test_a_receiver_that_closes_after_each_answer_gets_a_connection_for_each(
    opened: list[MllpSender],
) -> None:
    with receiver(receivers.accepts_and_closes) as far_end:
        sender = MllpSender(far_end.address, PATIENCE)
        opened.append(sender)
        outcomes = [(await deliver(sender, number)).outcome for number in range(10)]
        lost = [each for each in outcomes if each is not Outcome.DELIVERED]
        assert len(lost) <= 1  # it may be caught out once, before it has learnt
        assert not sender.ready


async def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        unused_port = listener.getsockname()[1]
    answer = await deliver_once(f"mllp://127.0.0.1:{unused_port}")
    assert (answer.outcome, answer.level, answer.evidence) == (Outcome.NOT_SENT, None, b"")
    assert "refused" in answer.text.lower()


async def test_a_host_that_never_answers_a_connection() -> None:
    """A listener whose queue is full drops what comes, as a host behind a firewall does."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = []
        for _ in range(3):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(address)
            waiting.append(each)
        answer = await deliver_once(f"mllp://127.0.0.1:{address[1]}", IMPATIENCE)
        for each in waiting:
            each.close()
    assert answer.outcome is Outcome.NOT_SENT
    assert "0.3 s" in answer.text


async def test_a_receiver_that_takes_no_octets() -> None:
    """It accepts and never reads: a large message fills every buffer, and time runs out."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        octets = message()[0] + b"NTE|9|L|" + b"x" * 20_000_000 + b"\r"
        sender = MllpSender(f"mllp://127.0.0.1:{deaf.getsockname()[1]}", IMPATIENCE)
        assert await sender.open() is None
        answer = await sender.send(octets, "CONTROL1")
        assert answer.outcome is Outcome.AMBIGUOUS
        await sender.close()


async def test_a_large_message_arrives_whole() -> None:
    with receiver(receivers.accepts) as far_end:
        sender = MllpSender(far_end.address, PATIENCE)
        await sender.open()
        octets = message()[0] + b"NTE|9|L|" + b"x" * 1_000_000 + b"\r"
        assert (await sender.send(octets, "CONTROL1")).outcome is Outcome.DELIVERED
        assert far_end.messages == [octets]
        await sender.close()


async def test_sending_without_a_connection_sends_nothing() -> None:
    with receiver(receivers.accepts) as far_end:
        sender = MllpSender(far_end.address, PATIENCE)
        assert (await sender.send(*message())).outcome is Outcome.NOT_SENT
        assert far_end.messages == []


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:2575",
        "http://host:1",
        "mllp://host",
        "mllp://:1",
        "mllp://h:99999",
        "mllp://h:x",
        "mllp://h:1/a",
    ],
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ValueError, match="write it as mllp://host:port"):
        parse_address(address)


def test_addresses() -> None:
    assert parse_address("mllp://ehr.example:2575") == ("ehr.example", 2575, False)
    assert parse_address("mllps://[::1]:2575/") == ("::1", 2575, True)


# ---------------------------------------------------------------- an independent receiver


class Strict(AbstractHandler):  # type: ignore[misc]  # hl7apy has no types
    """Parses and validates with hl7apy before it acknowledges."""

    def __init__(self, message: str, seen: list[Any]) -> None:
        super().__init__(message)
        self.seen = seen

    def reply(self) -> str:
        parsed = parse_message(self.incoming_message, validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)
        parsed.validate()
        self.seen.append(parsed)
        return acknowledgement(parsed.msh.msh_10.to_er7()).decode()


class Refuse(AbstractErrorHandler):  # type: ignore[misc]  # hl7apy has no types
    def reply(self) -> str:
        name = receivers.field(self.incoming_message.encode(), "MSH", 10)
        return acknowledgement(name, "AR", f"ERR||||E||||{type(self.exc).__name__}").decode()


@contextmanager
def hl7apy_server(seen: list[Any]) -> Iterator[str]:
    server = MLLPServer("127.0.0.1", 0, {"ORU^R01^ORU_R01": (Strict, seen), "ERR": (Refuse,)})
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"mllp://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_hl7apy_takes_our_messages(opened: list[MllpSender]) -> None:
    """It closes after every acknowledgement, and validates strictly."""
    seen: list[Any] = []
    variants: list[dict[str, Any]] = [
        {},
        {"result": body(quantity("8.0", ">"), pt_seconds=quantity("29.6"), quick_percent=quantity("31"))},
        {"patient": replace(PATIENT, family_name="Müller|^~\\&")},
    ]
    with hl7apy_server(seen) as address:
        sender = MllpSender(address, PATIENCE)
        opened.append(sender)
        for number, changes in enumerate(variants):
            for _ in range(3):
                answer = await deliver(sender, number, **changes)
                if answer.outcome is Outcome.DELIVERED:
                    break
            assert answer.outcome is Outcome.DELIVERED, answer
    names = [parsed.msh.msh_10.to_er7() for parsed in seen]
    assert list(dict.fromkeys(names)) == ["CONTROL0", "CONTROL1", "CONTROL2"]


async def test_hl7apy_refuses_another_message() -> None:
    with hl7apy_server([]) as address:
        sender = MllpSender(address, PATIENCE)
        assert await sender.open() is None
        octets, name = message()
        answer = await sender.send(octets.replace(b"ORU^R01^ORU_R01", b"ORU^R02^ORU_R02"), name)
        await sender.close()
    assert answer.outcome is Outcome.REFUSED
    assert "UnsupportedMessageType" in answer.text
