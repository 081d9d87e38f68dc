"""The simulated FHIR server: what it stores, what it answers, and that it survives being killed."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from simulators.ledger import Ledger, LedgerError, read
from simulators.provider.fhir import FhirProvider
from simulators.provider.fhir_behaviour import FhirBehaviour, FhirManner
from simulators.provider.oauth import ASSERTION_TYPE, Client, Tokens
from simulators.provider.schedule import Schedule

from .conftest import Syncs

Json = dict[str, Any]


@asynccontextmanager
async def server(
    *words: str, ledger: Ledger | None = None, tokens: Tokens | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    schedule = Schedule.read(words, FhirBehaviour.parse, FhirBehaviour())
    serving = FhirProvider(ledger or Ledger(), schedule, tokens=tokens)
    host, port = await serving.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=5) as client:
            yield client
    finally:
        await serving.stop()


def patient(value: str = "1", **more: Any) -> Json:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": value}], **more}


def observation(value: str = "1", **more: Any) -> Json:
    about = {"identifier": [{"system": "urn:x", "value": value}], "status": "final", "code": {"text": "INR"}}
    return {"resourceType": "Observation", **about, **more}


def created(resource: Json, condition: str = "identifier=urn:x|1", name: str = "") -> Json:
    request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": condition}
    return {"resource": resource, "request": request, **({"fullUrl": name} if name else {})}


def updated(resource: Json, condition: str = "identifier=urn:x|1") -> Json:
    return {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}?{condition}"}}


async def post(client: httpx.AsyncClient, *entries: Json) -> tuple[int, list[str]]:
    answer = await client.post("/fhir", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    return answer.status_code, [each["response"]["status"] for each in answer.json().get("entry", [])]


async def count(client: httpx.AsyncClient, search: str) -> int:
    found: int = (await client.get(f"/fhir/{search}&_summary=count")).json()["total"]
    return found


async def test_created_once_then_found() -> None:
    async with server() as client:
        assert await post(client, created(patient())) == (200, ["201 Created"])
        assert await post(client, created(patient())) == (200, ["200 OK"])
        assert await count(client, "Patient?identifier=urn:x|1") == 1
        assert await count(client, "Patient?identifier=1") == 1
        assert await count(client, "Patient?identifier=urn:y|1") == 0
        (entry,) = (await client.get("/fhir/Patient?identifier=1")).json()["entry"]
        read_back = (await client.get(f"/fhir/Patient/{entry['resource']['id']}")).json()
    assert read_back == entry["resource"]
    assert read_back["meta"]["versionId"] == "1"


async def test_updated_where_it_is_and_created_where_it_is_not() -> None:
    async with server() as client:
        assert await post(client, updated(patient(gender="female"))) == (200, ["201 Created"])
        assert await post(client, updated(patient(gender="male"))) == (200, ["200 OK"])
        (entry,) = (await client.get("/fhir/Patient?identifier=1")).json()["entry"]
    assert (entry["resource"]["gender"], entry["resource"]["meta"]["versionId"]) == ("male", "2")


async def test_references_within_the_bundle_lead_to_what_was_made_or_found() -> None:
    subject = {"reference": "urn:uuid:7a63e1f2-0000-4000-8000-000000000001"}
    async with server() as client:
        for number in ("1", "2"):
            seen = created(observation(number, subject=subject), f"identifier=urn:x|{number}")
            await post(client, created(patient(), name=subject["reference"]), seen)
        by_search = observation("s2", subject={"reference": "Patient?identifier=urn:x|1"})
        await post(client, created(by_search, "identifier=urn:x|s2"))
        (known,) = (await client.get("/fhir/Patient?identifier=1")).json()["entry"]
        for number in ("1", "2", "s2"):
            (entry,) = (await client.get(f"/fhir/Observation?identifier={number}")).json()["entry"]
            assert entry["resource"]["subject"] == {"reference": f"Patient/{known['resource']['id']}"}


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        (created(observation(status="")), 422),
        (created({"resourceType": "Medication"}), 404),
        (created(observation(), "code=x"), 400),
        (created(observation(), " "), 400),
        (created(observation(subject={"reference": "urn:uuid:7a63e1f2-0000-4000-8000-00000000000f"})), 400),
        (created(observation(subject={"reference": "Patient?identifier=nobody"})), 412),
        ({"resource": observation(), "request": {"method": "DELETE", "url": "Observation/1"}}, 400),
        ({"resource": observation()}, 400),
    ],
)
async def test_all_of_a_transaction_or_nothing(entry: Json, status: int) -> None:
    ledger = Ledger()
    async with server(ledger=ledger) as client:
        found, _ = await post(client, created(patient()), entry)
        assert found == status
        assert await count(client, "Patient?identifier=1") == 0
    assert [line["event"] for line in ledger.lines] == ["request"]


async def test_two_that_fit_are_412() -> None:
    async with server("1-2=ignore-condition") as client:
        for _ in range(2):
            assert await post(client, created(patient())) == (200, ["201 Created"])
        assert (await post(client, created(patient())))[0] == 412
        assert (await post(client, updated(patient())))[0] == 412
        assert await count(client, "Patient?identifier=1") == 2


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"resourceType":"Bundle"}', b'{"resourceType":"Patient"}'])
async def test_what_is_no_transaction_is_told_why(body: bytes) -> None:
    async with server() as client:
        answer = await client.post("/fhir", content=body)
        assert answer.status_code in (400, 405)
        assert answer.json()["issue"][0]["diagnostics"]
        assert (await client.get("/fhir/Medication?x=1")).status_code == 404
        assert (await client.get("/fhir/Patient/1")).status_code == 404


async def test_tags_and_signs_that_part_searches() -> None:
    tagged = patient("a|b,c", meta={"tag": [{"system": "urn:t", "code": "v1"}]})
    async with server() as client:
        for expected in ("201 Created", "200 OK"):
            assert await post(client, created(tagged, r"identifier=urn:x|a\|b\,c")) == (200, [expected])
        assert await post(client, created(tagged, "_tag=urn:t|v1")) == (200, ["200 OK"])


async def test_on_disk_before_the_answer_and_there_after_a_restart(tmp_path: Path, syncs: Syncs) -> None:
    path = tmp_path / "fhir.jsonl"
    synced = syncs(path)
    ledger = Ledger(path)
    async with server(ledger=ledger) as client:
        synced.clear()
        await post(client, created(patient()), created(observation()))
        assert synced == [3]
    ledger.close()
    ledger = Ledger(path)
    async with server(ledger=ledger) as client:
        assert await post(client, created(patient())) == (200, ["200 OK"])
        assert await post(client, created(patient()), created(observation())) == (200, ["200 OK", "200 OK"])
    ledger.close()
    assert [(line["copy"], line["changed"]) for line in read(path) if line["event"] == "request"] == [
        (1, 2),
        (1, 0),
        (2, 0),
    ]


async def test_a_ledger_of_something_else_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "meter.jsonl")
    ledger.write({"event": "result"})
    with pytest.raises(LedgerError, match="no ledger of a FHIR server"):
        FhirProvider(ledger)
    ledger.close()


@pytest.mark.parametrize("manner", ["drop", "half"])
async def test_an_answer_that_does_not_come_whole(manner: str) -> None:
    async with server(f"1={manner}") as client:
        with pytest.raises(httpx.HTTPError):
            await post(client, created(patient()))
        assert await post(client, created(patient())) == (200, ["200 OK"])


@pytest.mark.parametrize("manner", ["status:503:7", "entry:422", "accepted"])
async def test_what_is_refused_is_not_stored(manner: str) -> None:
    async with server(f"1={manner}") as client:
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [created(patient())]}
        answer = await client.post("/fhir", json=bundle)
        assert answer.status_code == {"status:503:7": 503, "entry:422": 200, "accepted": 202}[manner]
        assert answer.headers.get("retry-after") == ("7" if manner.startswith("status") else None)
        assert await post(client, created(patient())) == (200, ["201 Created"])


def test_behaviours_are_read_and_others_named() -> None:
    assert FhirBehaviour.parse("late:2.5") == FhirBehaviour(FhirManner.LATE, late_s=2.5)
    assert FhirBehaviour.parse("status:429:7") == FhirBehaviour(FhirManner.STATUS, status=429, retry_after="7")
    for text in ("what", "late", "late:x", "status", "status:99", "entry:x", "drop:3"):
        with pytest.raises(ValueError, match=text.partition(":")[0]):
            FhirBehaviour.parse(text)


# ---------------------------------------------------------------- tokens


async def test_no_token_no_entry() -> None:
    tokens = Tokens(Client("me", secret="x"))
    async with server(tokens=tokens) as client:
        assert (await post(client, created(patient())))[0] == 401
        form = {"grant_type": "client_credentials"}
        assert (await client.post("/token", data=form, auth=("me", "wrong"))).status_code == 401
        assert (await client.post("/token", data={"grant_type": "password"}, auth=("me", "x"))).status_code == 400
        token = (await client.post("/token", data=form, auth=("me", "x"))).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        assert (await post(client, created(patient())))[0] == 200
        tokens.revoke()
        assert (await post(client, created(patient())))[0] == 401


async def test_an_assertion_is_for_this_server_short_and_used_once() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    tokens = Tokens(Client("me", public_key=public.decode()))

    def claims(**changes: Any) -> Json:
        now = int(time.time())
        return {"iss": "me", "sub": "me", "aud": tokens.url, "exp": now + 200, "jti": "1", **changes}

    async with server(tokens=tokens) as client:

        async def ask(content: Json, headers: Json | None = None, algorithm: str = "ES384") -> int:
            signed = jwt.encode(content, key, algorithm, headers={"kid": "k"} if headers is None else headers)
            form = {
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": signed,
            }
            return (await client.post("/token", data=form)).status_code

        assert await ask(claims()) == 200
        assert await ask(claims()) == 401  # the same jti
        assert await ask(claims(jti="2", aud="https://elsewhere.example/token")) == 401
        assert await ask(claims(jti="3", exp=int(time.time()) + 3600)) == 401
        assert await ask(claims(jti="4", exp=int(time.time()) - 60)) == 401
        assert await ask(claims(jti="5", iss="you")) == 401
        assert await ask(claims(jti="6"), headers={}) == 401
        assert (await client.post("/token", data={"grant_type": "client_credentials"})).status_code == 401
        answer = await client.post("/token", content=json.dumps({}))
        assert answer.status_code == 400
