"""What each answer of a server means for the report: the whole table."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.reporting.channels.base import Level, Outcome
from gateway.reporting.channels.fhir import CHANNEL, FhirSettings
from gateway.reporting.channels.fhir.address import check_address, check_protected
from gateway.reporting.channels.fhir.answer import Asked, Verdict, asked, judge, retry_after_s
from gateway.reporting.registration import check_settings
from tests.unit.reporting.fhir.variants import at_home

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
WANTED = (Asked("POST", "Device"), Asked("POST", "Observation"), Asked("PUT", "Observation"))


def response(*statuses: object, kind: str = "transaction-response", **more: Any) -> bytes:
    entries = [{"response": {"status": status, **more}} for status in statuses]
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()


def verdict(status: int, body: bytes = b"", **headers: str) -> Verdict:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return judge(status, named, body, WANTED, NOW)


OUTCOME = json.dumps(
    {
        "resourceType": "OperationOutcome",
        "issue": [
            {"severity": "warning", "code": "informational", "diagnostics": "pay more"},
            {
                "severity": "error",
                "code": "invalid",
                "diagnostics": "no such unit",
                "details": {"text": "bad value"},
            },
        ],
    }
).encode()


@pytest.mark.parametrize(
    ("status", "outcome", "says"),
    [
        (202, Outcome.ACCEPTED, "202"),
        (301, Outcome.REFUSED, "points elsewhere"),
        (307, Outcome.REFUSED, "points elsewhere"),
        (400, Outcome.REFUSED, "bad value: no such unit"),
        (401, Outcome.REFUSED, "credentials"),
        (403, Outcome.REFUSED, "credentials"),
        (404, Outcome.REFUSED, "no FHIR server"),
        (405, Outcome.REFUSED, "no transactions"),
        (408, Outcome.AMBIGUOUS, "408"),
        (409, Outcome.POSTPONED, "409"),
        (412, Outcome.REFUSED, "two or more"),
        (422, Outcome.REFUSED, "bad value: no such unit"),
        (429, Outcome.POSTPONED, "429"),
        (500, Outcome.AMBIGUOUS, "500"),
        (503, Outcome.AMBIGUOUS, "503"),
        (599, Outcome.AMBIGUOUS, "599"),
    ],
)
def test_the_status_of_the_whole(status: int, outcome: Outcome, says: str) -> None:
    found = verdict(status, OUTCOME)
    assert found.outcome is outcome
    assert says in found.text
    assert "pay more" not in found.text
    assert found.level is (Level.ACCEPTED if status == 202 else Level.SENT)
    assert found.renew is (status in (401, 403))


@pytest.mark.parametrize(
    "body",
    [
        response("201 Created", "201", "200 OK"),
        response("200", "200 OK", "201 Created"),
        response("201", "200", "304 Not Modified"),
        response("200", "200", "204"),
    ],
)
def test_every_entry_stored_is_delivered(body: bytes) -> None:
    assert verdict(200, body) == Verdict(Outcome.DELIVERED, Level.DELIVERED, "")


@pytest.mark.parametrize(
    ("body", "outcome", "says"),
    [
        (response("201", "412", "200"), Outcome.REFUSED, "entry 2 (Observation)"),
        (response("201", "422 Unprocessable", "200"), Outcome.REFUSED, "HTTP 422"),
        (response("201", "201", "409"), Outcome.POSTPONED, "entry 3"),
        (response("503", "201", "409"), Outcome.AMBIGUOUS, "HTTP 503"),
        (response("503", "201", "422"), Outcome.REFUSED, "HTTP 422"),
        (response("201", "304", "200"), Outcome.REFUSED, "entry 2"),
        (response("201", "204", "200"), Outcome.REFUSED, "entry 2"),
        (response("201", "201"), Outcome.AMBIGUOUS, "2 entries for 3 requests"),
        (response("201", "201", "201", "201"), Outcome.AMBIGUOUS, "4 entries"),
        (response("201", None, "201"), Outcome.AMBIGUOUS, "no status"),
        (response("201", "fine", "201"), Outcome.AMBIGUOUS, "no status"),
        (response("201", "2011", "201"), Outcome.AMBIGUOUS, "no status"),
        (response("201", "201", "201", location="Patient/1/_history/1"), Outcome.AMBIGUOUS, "another resource"),
        (response("201", "201", "201", kind="searchset"), Outcome.AMBIGUOUS, "no response to a transaction"),
        (OUTCOME, Outcome.AMBIGUOUS, "no response to a transaction"),
        (b"", Outcome.AMBIGUOUS, "no response to a transaction"),
        (b"<html>", Outcome.AMBIGUOUS, "no response to a transaction"),
        (b"[]", Outcome.AMBIGUOUS, "no response to a transaction"),
        (b'{"resourceType":"Bundle","type":"transaction-response"}', Outcome.AMBIGUOUS, "0 entries"),
        (
            b'{"resourceType":"Bundle","type":"transaction-response","entry":[1,2,3]}',
            Outcome.AMBIGUOUS,
            "no status",
        ),
    ],
)
def test_one_entry_that_was_not_stored_spoils_the_whole(body: bytes, outcome: Outcome, says: str) -> None:
    found = verdict(200, body)
    assert found.outcome is outcome
    assert found.level is Level.SENT
    assert says in found.text


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 120 "}, 120.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Sat, 14 Mar 2026 12:05:00 GMT"}, 300.0),
        ({"retry-after": "Sat, 14 Mar 2026 11:00:00 GMT"}, 0.0),
        # The server's own clock counts where it shows it: it is an hour ahead of ours.
        ({"retry-after": "Sat, 14 Mar 2026 13:00:30 GMT", "date": "Sat, 14 Mar 2026 13:00:00 GMT"}, 30.0),
        ({"retry-after": "999999999"}, 999_999_999.0),  # the courier grants what it wants of it
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds


def test_the_wish_to_be_left_alone_is_passed_on() -> None:
    assert verdict(503, retry_after="7").retry_after_s == 7
    assert verdict(429, retry_after="9").retry_after_s == 9
    assert verdict(429).retry_after_s == 30
    assert verdict(503).retry_after_s is None
    assert verdict(422, retry_after="7").retry_after_s is None


def test_what_was_asked_is_read_from_the_octets() -> None:
    found = asked(CHANNEL.render(at_home(version=2), FhirSettings()))
    assert found == (
        Asked("POST", "Device"),
        Asked("POST", "Device"),
        Asked("PUT", "Observation"),
        Asked("PUT", "Observation"),
        Asked("PUT", "DiagnosticReport"),
        Asked("POST", "Provenance"),
    )


@given(st.integers(100, 999), st.binary(max_size=200) | st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["resourceType", "type", "entry", "response", "status", "issue", "outcome", "details"]),
        inner | st.sampled_from(["Bundle", "transaction-response", "OperationOutcome", "201"]), max_size=4),
    max_leaves=12,
).map(lambda content: json.dumps(content).encode()))  # fmt: skip
def test_no_answer_breaks_the_judge_and_none_without_entries_is_credited(status: int, body: bytes) -> None:
    found = judge(status, {"retry-after": body[:20].decode("latin-1")}, body, WANTED, NOW)
    assert found.outcome is not Outcome.DELIVERED or body.count(b"20") >= len(WANTED)


@pytest.mark.parametrize("address", ["https://ehr.example/fhir/", "https://ehr.example:8443", "http://10.0.0.7/r4"])
def test_addresses_are_kept_without_the_last_slash(address: str) -> None:
    assert check_address(address) == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        "ehr.example/fhir",
        "mllp://ehr.example:2575",
        "https://",
        "https:///fhir",
        "https://user:secret@ehr.example",
        "https://ehr.example:99999",
        "https://ehr.example/fhir?x=1",
        "https://ehr.example/fhir#x",
        "https://ehr.example/a b",
        "",
    ],
)
def test_what_is_no_address_is_refused_with_the_remedy(address: str) -> None:
    with pytest.raises(ValueError, match="write it as https://host/path"):
        check_address(address)


def test_plain_http_goes_to_this_machine_only_unless_told() -> None:
    for address in (
        "http://127.0.0.1:8080/fhir",
        "http://[::1]/fhir",
        "http://localhost/fhir",
        "https://ehr.example",
    ):
        assert check_protected(address, allow_plain_http=False) == address
    with pytest.raises(ValueError, match="not encrypted; write it as https://"):
        check_protected("http://10.0.0.7/fhir", allow_plain_http=False)
    assert check_protected("http://10.0.0.7/fhir", allow_plain_http=True)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"identifier_system": "2.25.1"}, "an absolute URI like"),
        ({"patient_identifier_system": "urn:x|y"}, "an absolute URI like"),
        ({"inr": "46418-0"}, "a table like"),
        ({"inr_unit": "INR"}, "{INR}, 1 or {ratio}"),
        ({"auth": {"kind": "smart"}}, "token_url, client_id, key, key_id"),
        ({"auth": {"kind": "bearer", "token": "../token"}}, "a table whose kind is"),
        ({"ca": "/etc/ssl/ca.pem"}, "name of a PEM file"),
        ({"colour": "red"}, "fhir has no setting colour"),
    ],
)
def test_settings_that_do_not_fit_are_named_with_the_remedy(table: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        check_settings("fhir", table)


def test_settings_are_kept_as_they_were_written() -> None:
    table = {"inr": {"code": "34714-6"}, "auth": {"kind": "bearer", "token": "clinic-a"}, "pause_s": 2}
    assert json.loads(check_settings("fhir", table)) == table
