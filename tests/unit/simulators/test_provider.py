"""The provider's system over real sockets, asked by a client that knows MLLP and nothing of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.ledger import Ledger, LedgerError, read
from simulators.provider.behaviour import Behaviour, Manner, Script
from simulators.provider.mllp import Reader, TooLongError, block
from simulators.provider.server import Provider

from .conftest import Syncs

WITHIN_S = 10.0
ORU = (
    b"MSH|^~\\&|INRGW|SUPPLIER|EHR|CLINIC|20261022121509+0000||ORU^R01^ORU_R01|%s|P|2.5.1\r"
    b"PID|1||MRN000001^^^CLINIC^MR||Doe^Jane\r"
    b"OBR|1||R1|46418-0^INR^LN\r"
    b"OBX|1|NM|46418-0^INR^LN||2.7|{INR}|||||F\r"
)


def oru(control_id: str) -> bytes:
    return ORU % control_id.encode()


class Client:
    """A sending system on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, message: bytes) -> None:
        self._writer.write(b"\x0b" + message + b"\x1c\r")

    async def answer(self) -> dict[str, list[str]]:
        """The next answer, segment by name."""
        framed = await asyncio.wait_for(self._reader.readuntil(b"\x1c\r"), WITHIN_S)
        assert framed[:1] == b"\x0b"
        segments = framed[1:-2].decode().split("\r")
        assert segments.pop() == ""
        return {segment[:3]: segment.split("|") for segment in segments}

    async def msa(self) -> tuple[str, str]:
        """MSA-1 and MSA-2 of the next answer."""
        segment = (await self.answer())["MSA"]
        return segment[1], segment[2]

    async def silence(self, seconds: float = 0.1) -> bytes:
        """What arrives during a while, and not more; an empty answer at the end of the connection raises."""
        octets = b""
        try:
            async with asyncio.timeout(seconds):
                while octets_now := await self._reader.read(4096):
                    octets += octets_now
        except TimeoutError:
            return octets
        raise ConnectionError("closed")

    async def closed(self) -> bool:
        return await asyncio.wait_for(self._reader.read(1), WITHIN_S) == b""


@asynccontextmanager
async def provider(*words: str, ledger: Ledger | None = None) -> AsyncIterator[Connecting]:
    serving = Provider(ledger or Ledger(), Script.parse(words))
    connecting = Connecting(await serving.start())
    try:
        yield connecting
    finally:
        await connecting.close()
        await serving.stop()


class Connecting:
    """Opens connections and closes them at the end."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._writers: list[asyncio.StreamWriter] = []

    async def __call__(self) -> Client:
        reader, writer = await asyncio.open_connection(*self._address)
        self._writers.append(writer)
        return Client(reader, writer)

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_a_message_is_answered_with_its_own_control_id_and_names_swapped() -> None:
    async with provider() as connect:
        client = await connect()
        client.send(oru("GW-1"))
        answer = await client.answer()
    assert answer["MSA"] == ["MSA", "AA", "GW-1"]
    msh = answer["MSH"]
    assert msh[1:6] == ["^~\\&", "EHR", "CLINIC", "INRGW", "SUPPLIER"]
    assert msh[8] == "ACK^R01^ACK"
    assert msh[9] not in ("", "GW-1")
    assert msh[10:] == ["P", "2.5.1"]


async def test_a_message_is_on_disk_before_it_is_answered(tmp_path: Path, syncs: Syncs) -> None:
    path = tmp_path / "provider.jsonl"
    synced = syncs(path)
    ledger = Ledger(path)
    async with provider(ledger=ledger) as connect:
        client = await connect()
        synced.clear()
        client.send(oru("GW-1"))
        await client.msa()
        assert synced == [1]
    ledger.close()
    (line,) = read(path)
    assert (line["control_id"], line["copy"], line["accepted"]) == ("GW-1", 1, True)
    assert line["octets"].encode("latin-1") == oru("GW-1")


async def test_two_messages_in_one_write_and_one_message_octet_by_octet() -> None:
    async with provider() as connect:
        client = await connect()
        client.send(oru("GW-1"))
        client.send(oru("GW-2"))
        assert [await client.msa(), await client.msa()] == [("AA", "GW-1"), ("AA", "GW-2")]
        for octet in b"\x0b" + oru("GW-3") + b"\x1c\r":
            client._writer.write(bytes([octet]))
            await client._writer.drain()
        assert await client.msa() == ("AA", "GW-3")


async def test_a_repetition_is_answered_again_and_written_down_as_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "provider.jsonl"
    for copies in ((1, 2), (3,)):  # the second time after a restart
        ledger = Ledger(path)
        async with provider(ledger=ledger) as connect:
            for _ in copies:
                client = await connect()
                client.send(oru("GW-1"))
                assert await client.msa() == ("AA", "GW-1")
        ledger.close()
    assert [(line["copy"], line["same_octets"]) for line in read(path)] == [(1, None), (2, True), (3, True)]


async def test_other_octets_under_a_known_control_id_are_noticed() -> None:
    ledger = Ledger()
    async with provider(ledger=ledger) as connect:
        client = await connect()
        client.send(oru("GW-1"))
        client.send(oru("GW-1").replace(b"2.7", b"2.8"))
        assert [await client.msa(), await client.msa()] == [("AA", "GW-1"), ("AA", "GW-1")]
    assert [line["same_octets"] for line in ledger.lines] == [None, False]


async def test_silent_never_answers_but_has_the_message_and_goes_on() -> None:
    ledger = Ledger()
    async with provider("1=silent", ledger=ledger) as connect:
        client = await connect()
        client.send(oru("GW-1"))
        assert await client.silence() == b""
        client.send(oru("GW-1"))
        assert await client.msa() == ("AA", "GW-1")
    assert [(line["copy"], line["accepted"]) for line in ledger.lines] == [(1, True), (2, True)]


async def test_hang_up_closes_without_an_answer() -> None:
    ledger = Ledger()
    async with provider("1=hang-up", ledger=ledger) as connect:
        client = await connect()
        client.send(oru("GW-1"))
        assert await client.closed()
    assert [line["control_id"] for line in ledger.lines] == ["GW-1"]


async def test_late_answers_late() -> None:
    async with provider("1=late:0.2") as connect:
        client = await connect()
        client.send(oru("GW-1"))
        assert await client.silence(0.05) == b""
        assert await client.msa() == ("AA", "GW-1")


async def test_wrong_id_answers_for_a_message_that_nobody_sent() -> None:
    async with provider("1=wrong-id") as connect:
        client = await connect()
        client.send(oru("GW-1"))
        code, control_id = await client.msa()
    assert code == "AA"
    assert control_id != "GW-1"


async def test_half_frame_stops_in_the_middle_of_the_answer() -> None:
    async with provider("1=half-frame") as connect:
        client = await connect()
        client.send(oru("GW-1"))
        octets = await client.silence(0.3)
    assert octets.startswith(b"\x0bMSH|")
    assert b"\x1c" not in octets


async def test_close_after_answers_once_per_connection() -> None:
    async with provider("*=close-after") as connect:
        for number in (1, 2):
            client = await connect()
            client.send(oru(f"GW-{number}"))
            assert await client.msa() == ("AA", f"GW-{number}")
            assert await client.closed()


async def test_stale_first_gives_the_answer_before_once_more() -> None:
    async with provider("2=stale-first") as connect:
        client = await connect()
        client.send(oru("GW-1"))
        assert await client.msa() == ("AA", "GW-1")
        client.send(oru("GW-2"))
        assert [await client.msa(), await client.msa()] == [("AA", "GW-1"), ("AA", "GW-2")]


async def test_twice_answers_twice_in_one_write() -> None:
    async with provider("1=twice") as connect:
        client = await connect()
        client.send(oru("GW-1"))
        octets = await client.silence()
    assert octets.count(b"\x0b") == octets.count(b"\x1c\r") == octets.count(b"MSA|AA|GW-1\r") == 2


async def test_garbage_is_no_frame_and_the_message_is_kept() -> None:
    ledger = Ledger()
    async with provider("1=garbage", ledger=ledger) as connect:
        client = await connect()
        client.send(oru("GW-1"))
        assert not (await client.silence()).startswith(b"\x0b")
    assert [(line["control_id"], line["accepted"]) for line in ledger.lines] == [("GW-1", True)]


async def test_an_acknowledgement_in_the_form_of_version_2_3() -> None:
    async with provider("1=ack-2.3") as connect:
        client = await connect()
        client.send(oru("GW-1"))
        answer = await client.answer()
    assert answer["MSA"] == ["MSA", "AA", "GW-1"]
    assert (answer["MSH"][8], answer["MSH"][11]) == ("ACK", "2.3")


async def test_mangle_keeps_and_mirrors_question_marks_for_all_but_ascii() -> None:
    ledger = Ledger()
    message = oru("GW-1").replace(b"Doe^Jane", "Müller^Zoë".encode()).replace(b"INRGW", "ÍNRGW".encode())
    async with provider("1=mangle", ledger=ledger) as connect:
        client = await connect()
        client.send(message)
        answer = await client.answer()
    assert answer["MSA"] == ["MSA", "AA", "GW-1"]
    assert answer["MSH"][4] == "??NRGW"
    assert "M??ller^Zo??" in ledger.lines[0]["octets"]


async def test_a_refusal_in_words_alone() -> None:
    ledger = Ledger()
    async with provider("1=AR-words", ledger=ledger) as connect:
        client = await connect()
        client.send(oru("GW-1"))
        answer = await client.answer()
    assert answer["MSA"] == ["MSA", "AR", "GW-1", "the application does not take this message"]
    assert "ERR" not in answer
    assert [line["accepted"] for line in ledger.lines] == [False]


@pytest.mark.parametrize("code", ["AE", "AR", "CE", "CR"])
async def test_a_refusal_names_an_error_and_does_not_keep_the_message_as_accepted(code: str) -> None:
    ledger = Ledger()
    async with provider(f"1={code}:206", ledger=ledger) as connect:
        client = await connect()
        client.send(oru("GW-1"))
        answer = await client.answer()
        assert answer["MSA"] == ["MSA", code, "GW-1"]
        assert answer["ERR"][3].split("^")[::2] == ["206", "HL70357"]
        assert answer["ERR"][4] == "E"
        client.send(oru("GW-1"))
        assert await client.msa() == ("AA", "GW-1")
    assert [(line["copy"], line["accepted"]) for line in ledger.lines] == [(1, False), (2, True)]


async def test_a_commit_accept_is_no_application_accept() -> None:
    async with provider("1=CA") as connect:
        client = await connect()
        client.send(oru("GW-1"))
        assert await client.msa() == ("CA", "GW-1")


async def test_what_was_accepted_is_never_refused_later() -> None:
    async with provider("2=AR") as connect:
        client = await connect()
        client.send(oru("GW-1"))
        client.send(oru("GW-1"))
        assert [await client.msa(), await client.msa()] == [("AA", "GW-1"), ("AA", "GW-1")]


@pytest.mark.parametrize("octets", [b"hello", b"", b"MSH|^~\\&|A|B|C|D|||ORU^R01||P|2.5.1\r", b"\xff\x00"])
async def test_what_is_no_hl7_is_kept_and_rejected_and_the_next_message_passes(octets: bytes) -> None:
    ledger = Ledger()
    async with provider(ledger=ledger) as connect:
        client = await connect()
        client.send(octets)
        answer = await client.answer()
        assert answer["MSA"][1] == "AR"
        client.send(oru("GW-1"))
        assert await client.msa() == ("AA", "GW-1")
    assert [line["event"] for line in ledger.lines] == ["unreadable", "message"]
    assert ledger.lines[0]["octets"].encode("latin-1") == octets


async def test_stopping_drops_connections_that_wait_for_an_answer() -> None:
    serving = Provider(Ledger(), Script.parse(["*=late:3600"]))
    connect = Connecting(await serving.start())
    client = await connect()
    client.send(oru("GW-1"))
    assert await client.silence(0.05) == b""
    await asyncio.wait_for(serving.stop(), WITHIN_S)
    assert await client.closed()
    await connect.close()


def test_a_ledger_of_a_meter_is_refused() -> None:
    ledger = Ledger()
    ledger.write({"event": "holds"})
    with pytest.raises(LedgerError, match="no ledger of a provider"):
        Provider(ledger)


def test_a_script_says_which_message_is_answered_how() -> None:
    script = Script.parse(["2-3=silent", "3=AE:206", "*=late:1.5"])
    assert [script.at(number) for number in (1, 2, 3, 4)] == [
        Behaviour(Manner.LATE, late_s=1.5),
        Behaviour(Manner.SILENT),
        Behaviour(Manner.AE, error_code="206"),
        Behaviour(Manner.LATE, late_s=1.5),
    ]
    assert Script.parse([]).at(1) == Behaviour(Manner.ACCEPT)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("silent", "write WHICH=BEHAVIOUR"),
        ("x=silent", "'x' is no message number"),
        ("0=silent", "'0' is no message number"),
        ("2-=silent", "'2-' is no message number"),
        ("1=rude", "'rude' is no behaviour; there are: accept, silent"),
        ("1=late", "late needs seconds"),
        ("1=late:nan", "late needs seconds"),
        ("1=silent:3", "silent takes no '3'"),
        ("1=AE:x", "AE takes no 'x'"),
        ("1=AR-words:101", "AR-words takes no '101'"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused_with_the_remedy(word: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Script.parse([word])


@given(
    st.lists(st.binary(max_size=20).filter(lambda b: b"\x0b" not in b and b"\x1c" not in b), max_size=5), st.data()
)
def test_any_chunking_gives_the_same_messages(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"noise".join(block(message) for message in messages)
    reader, found, start = Reader(), [], 0
    while start < len(stream):
        size = data.draw(st.integers(1, 30))
        found += reader.feed(stream[start : start + size])
        start += size
    assert found == messages


def test_a_block_begun_anew_replaces_the_broken_one_and_an_endless_one_is_given_up() -> None:
    assert Reader().feed(b"\x0bhalf a mess\x0bMSH|\x1c\r") == [b"MSH|"]
    reader = Reader(limit=10)
    with pytest.raises(TooLongError):
        reader.feed(b"\x0b" + b"x" * 11)


@pytest.mark.parametrize("script", ["1=accept", "1=AE:207"])
async def test_an_answer_is_valid_to_an_independent_checker(script: str) -> None:
    from hl7apy.consts import VALIDATION_LEVEL
    from hl7apy.parser import parse_message

    async with provider(script) as connect:
        client = await connect()
        client.send(oru("GW-1"))
        answer = await client.answer()
    text = "\r".join("|".join(segment) for segment in answer.values()) + "\r"
    assert parse_message(text, validation_level=VALIDATION_LEVEL.STRICT).validate()
