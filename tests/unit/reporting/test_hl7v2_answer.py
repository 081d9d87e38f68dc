"""Acknowledgements: what they say about a message, and that nothing else passes for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reporting.channels.base import Level, Outcome
from gateway.reporting.channels.hl7v2_answer import judge, parse

HEADER = "MSH|^~\\&|EHR|CLINIC|INR-GATEWAY|HOME-INR|20260314120000||ACK^R01^ACK|X1|P|2.5.1"


def said(*segments: str, end: str = "\r") -> bytes:
    return (end.join((HEADER, *segments)) + end).encode()


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_reads_what_decides(end: str) -> None:
    answer = parse(said("MSA|AA|C1|fine", end=end))
    assert answer is not None
    assert (answer.code, answer.control_id, answer.sender, answer.text) == ("AA", "C1", "EHR|CLINIC", "fine")
    assert judge(answer).outcome is Outcome.DELIVERED
    assert judge(answer).level is Level.DELIVERED


def test_uses_the_delimiters_of_the_answer() -> None:
    answer = parse(b"MSH#*~\\&#EHR#CLINIC\rMSA#AE#C1\rERR###207*Application error*HL70357\r")
    assert answer is not None
    assert answer.control_id == "C1"
    assert answer.errors == ("207",)


@pytest.mark.parametrize(
    ("segments", "outcome", "level"),
    [
        (["MSA|AA|C1"], Outcome.DELIVERED, Level.DELIVERED),
        (["MSA|CA|C1"], None, Level.ACCEPTED),
        (["MSA|AE|C1"], Outcome.POSTPONED, Level.SENT),
        (["MSA|AE|C1", "ERR|||206^Record locked^HL70357|E"], Outcome.POSTPONED, Level.SENT),
        (["MSA|AE|C1", "ERR|||207^Application error^HL70357|E"], Outcome.POSTPONED, Level.SENT),
        (["MSA|CE|C1", "ERR|||207"], Outcome.POSTPONED, Level.SENT),
        *((["MSA|AE|C1", f"ERR|||{code}"], Outcome.REFUSED, Level.SENT) for code in (100, 101, 102, 103, 104)),
        *((["MSA|AE|C1", f"ERR|||{code}"], Outcome.REFUSED, Level.SENT) for code in range(200, 206)),
        (["MSA|AE|C1", "ERR|||207", "ERR|||204"], Outcome.REFUSED, Level.SENT),
        (["MSA|AE|C1", "ERR|PID^1^3^204&Unknown key identifier&HL70357"], Outcome.REFUSED, Level.SENT),
        (["MSA|AE|C1", "ERR|PID^1^3^206&Locked&HL70357"], Outcome.POSTPONED, Level.SENT),
        (["MSA|AE|C1|bad||| 101^missing"], Outcome.REFUSED, Level.SENT),
        (["MSA|AR|C1|no"], Outcome.REFUSED, Level.SENT),
        (["MSA|CR|C1"], Outcome.REFUSED, Level.SENT),
        (["MSA|XX|C1"], Outcome.AMBIGUOUS, Level.SENT),
        (["MSA||C1"], Outcome.AMBIGUOUS, Level.SENT),
    ],
)
def test_every_code_has_its_meaning(segments: list[str], outcome: Outcome | None, level: Level) -> None:
    answer = parse(said(*segments))
    assert answer is not None
    assert answer.control_id == "C1"
    assert (judge(answer).outcome, judge(answer).level) == (outcome, level)


def test_a_refusal_says_why() -> None:
    answer = parse(said("MSA|AE|C1|Rejected", "ERR|||204^Unknown key identifier^HL70357|E||||no such MRN"))
    assert answer is not None
    text = judge(answer).text
    assert text == "AE: Rejected; no such MRN (204 unknown key identifier (is the patient id known there?))"


@pytest.mark.parametrize(
    "octets",
    [b"", b"\r", b"MSH", b"MSA|AA|C1\r", said(), said("MSA|AA"), b"HTTP/1.1 400 Bad Request\r\n\r\n"],
)
def test_no_acknowledgement(octets: bytes) -> None:
    assert parse(octets) is None


def test_latin_1_is_read_too() -> None:
    answer = parse(said("MSA|AR|C1|r\xe9jet\xe9").decode().encode("latin-1"))
    assert answer is not None
    assert answer.text == "r\xe9jet\xe9"


@given(st.binary(max_size=300) | st.binary(max_size=80).map(lambda tail: HEADER.encode() + b"\rMSA" + tail))
def test_whatever_comes_is_judged_without_an_error(octets: bytes) -> None:
    answer = parse(octets)
    if answer is not None:
        verdict = judge(answer)
        assert (verdict.outcome is Outcome.DELIVERED) == (answer.code == "AA")
